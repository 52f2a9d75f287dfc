// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/reply.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>

#include "frontends/fuse/convert.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::fuse {

namespace {

fuse_file_info to_file_info(fs::HandleId handle, OpenHints hints) {
  fuse_file_info info{};
  info.fh = handle.value;
  info.keep_cache = hints.keep_cache;
  info.noflush = hints.no_flush;
  return info;
}

// A wait for a lock counts as what it is: as long as the program waited.
metrics::Histogram& request_seconds() {
  static auto& out = metrics::of_process().histogram("lafs_fuse_request_seconds",
                                                     "From a request of the kernel to its answer.",
                                                     metrics::latency_bounds());
  return out;
}

}  // namespace

Reply::Reply(Reply&& other) noexcept
    : request_(std::exchange(other.request_, nullptr)),
      operation_(other.operation_),
      timeouts_(other.timeouts_),
      unique_(other.unique_),
      pending_(other.pending_),
      place_(other.place_),
      begin_(other.begin_),
      lock_(std::move(other.lock_)) {
  if (request_) *place_ = this;
}

Reply::~Reply() {
  if (!request_) return;
  log::error(std::string("fuse: ") + operation_ + " ended without an answer");
  error(EIO);
}

fuse_req* Reply::take() {
  if (!request_) return nullptr;
  pending_->remove(place_);
  const std::chrono::duration<double> took = Clock::now() - begin_;
  request_seconds().observe(took.count());
  return std::exchange(request_, nullptr);
}

void Reply::ok() { error(0); }

void Reply::error(int number) {
  if (auto* const request = take()) fuse_reply_err(request, number);
}

void Reply::abandon() {
  error(EINTR);
  // libfuse knows the request no more, and passes no interrupt on.
  if (lock_) lock_->give_up();
}

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
  auto* const request = take();
  return request && fuse_reply_entry(request, &e) == 0;
}

void Reply::no_entry() {
  if (timeouts_->negative <= 0) return error(ENOENT);
  fuse_entry_param e{};  // ino 0 says "not there", with a time to live
  e.entry_timeout = timeouts_->negative;
  if (auto* const request = take()) fuse_reply_entry(request, &e);
}

bool Reply::created(const fs::Attributes& attributes, fs::HandleId handle, OpenHints hints) {
  fuse_entry_param e;
  fill(e, attributes);
  const auto info = to_file_info(handle, hints);
  auto* const request = take();
  return request && fuse_reply_create(request, &e, &info) == 0;
}

bool Reply::opened(fs::HandleId handle, OpenHints hints) {
  const auto info = to_file_info(handle, hints);
  auto* const request = take();
  return request && fuse_reply_open(request, &info) == 0;
}

void Reply::attributes(const fs::Attributes& attributes) {
  const auto s = to_stat(attributes);
  if (auto* const request = take()) fuse_reply_attr(request, &s, timeouts_->attributes);
}

void Reply::link_target(const std::string& target) {
  if (auto* const request = take()) fuse_reply_readlink(request, target.c_str());
}

bool Reply::bytes(ByteView data) {
  auto* const request = take();
  return request &&
         fuse_reply_buf(request, reinterpret_cast<const char*>(data.data()), data.size()) == 0;
}

void Reply::written(std::size_t size) {
  if (auto* const request = take()) fuse_reply_write(request, size);
}

void Reply::space(const fs::SpaceInfo& space) {
  const auto s = to_statvfs(space);
  if (auto* const request = take()) fuse_reply_statfs(request, &s);
}

void Reply::needed_size(std::size_t size) {
  if (auto* const request = take()) fuse_reply_xattr(request, size);
}

void Reply::lock(const std::optional<fs::Lock>& in_the_way) {
  struct flock found{};
  found.l_type = F_UNLCK;
  found.l_whence = SEEK_SET;
  if (in_the_way) {
    const auto& range = in_the_way->range;
    found.l_type = in_the_way->exclusive ? F_WRLCK : F_RDLCK;
    found.l_start = static_cast<off_t>(range.begin);
    found.l_len = range.end == UINT64_MAX ? 0 : static_cast<off_t>(range.size());
    found.l_pid = static_cast<pid_t>(in_the_way->pid);
  }
  if (auto* const request = take()) fuse_reply_lock(request, &found);
}

void Reply::offset(std::uint64_t offset) {
  if (auto* const request = take()) fuse_reply_lseek(request, static_cast<off_t>(offset));
}

}  // namespace lafs::fuse
