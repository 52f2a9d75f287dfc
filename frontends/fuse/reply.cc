// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/reply.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>

#include <cassert>

#include "frontends/fuse/convert.h"
#include "grid/base/log.h"

namespace lafs::fuse {

namespace {

fuse_file_info to_file_info(fs::HandleId handle, OpenHints hints) {
  fuse_file_info info{};
  info.fh = handle.value;
  info.keep_cache = hints.keep_cache;
  info.noflush = hints.no_flush;
  return info;
}

}  // namespace

Reply::Reply(Reply&& other) noexcept
    : request_(std::exchange(other.request_, nullptr)),
      operation_(other.operation_),
      timeouts_(other.timeouts_) {}

Reply::~Reply() {
  if (!request_) return;
  log::error(std::string("fuse: ") + operation_ + " ended without an answer");
  error(EIO);
}

fuse_req* Reply::take() {
  assert(request_ && "a request is answered once");
  return std::exchange(request_, nullptr);
}

void Reply::ok() { fuse_reply_err(take(), 0); }

void Reply::error(int number) { fuse_reply_err(take(), number); }

void Reply::error(const Error& error) {
  if (wants_log(error.code)) {
    log::warning(std::string("fuse: ") + operation_ + ": " + error.message());
  }
  this->error(to_errno(error.code));
}

void Reply::done(const Result<>& result) { result ? ok() : error(result.error()); }

void Reply::fill(fuse_entry_param& entry, const fs::Attributes& attributes) const {
  entry = {};
  entry.ino = attributes.id.value;
  entry.generation = 1;  // node ids are never reused
  entry.attr = to_stat(attributes);
  entry.attr_timeout = timeouts_->attributes;
  entry.entry_timeout = timeouts_->entry;
}

bool Reply::entry(const fs::Attributes& attributes) {
  fuse_entry_param e;
  fill(e, attributes);
  return fuse_reply_entry(take(), &e) == 0;
}

void Reply::no_entry() {
  if (timeouts_->negative <= 0) return error(ENOENT);
  fuse_entry_param e{};  // ino 0 says "not there", with a time to live
  e.entry_timeout = timeouts_->negative;
  fuse_reply_entry(take(), &e);
}

bool Reply::created(const fs::Attributes& attributes, fs::HandleId handle, OpenHints hints) {
  fuse_entry_param e;
  fill(e, attributes);
  const auto info = to_file_info(handle, hints);
  return fuse_reply_create(take(), &e, &info) == 0;
}

bool Reply::opened(fs::HandleId handle, OpenHints hints) {
  const auto info = to_file_info(handle, hints);
  return fuse_reply_open(take(), &info) == 0;
}

void Reply::attributes(const fs::Attributes& attributes) {
  const auto s = to_stat(attributes);
  fuse_reply_attr(take(), &s, timeouts_->attributes);
}

void Reply::link_target(const std::string& target) { fuse_reply_readlink(take(), target.c_str()); }

bool Reply::bytes(ByteView data) {
  return fuse_reply_buf(take(), reinterpret_cast<const char*>(data.data()), data.size()) == 0;
}

void Reply::written(std::size_t size) { fuse_reply_write(take(), size); }

void Reply::space(const fs::SpaceInfo& space) {
  const auto s = to_statvfs(space);
  fuse_reply_statfs(take(), &s);
}

void Reply::needed_size(std::size_t size) { fuse_reply_xattr(take(), size); }

}  // namespace lafs::fuse
