// SPDX-License-Identifier: Apache-2.0
// Requests about the content of files, and extended attributes.
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>

#include "frontends/fuse/convert.h"
#include "frontends/fuse/dispatch.h"
#include "frontends/fuse/mount.h"

namespace lafs::fuse {

namespace {

// Without FLUSH, the end of a process's record locks is heard of late: not where there are some.
OpenHints hints_for(const fs::Opened& opened, const fs::OpenFlags& flags,
                    const fs::LockTable& locks) {
  return {.keep_cache = opened.immutable_content,
          .no_flush = !flags.write && !locks.locked(opened.attributes.id, fs::LockFamily::record)};
}

Held::HandleKind kind_of(const fs::OpenFlags& flags) {
  return flags.append ? Held::HandleKind::append : Held::HandleKind::file;
}

// Attributes of other namespaces mean things to the local kernel (capabilities, labels, ACLs) that
// would be wrong on another machine.
bool may_have_xattr(std::string_view name) {
  return name.starts_with("user.") && name.size() > std::string_view("user.").size();
}

// Adds to a sum for as long as it lives.
class Charge {
 public:
  Charge(std::uint64_t& sum, std::uint64_t amount) : sum_(sum), amount_(amount) { sum_ += amount_; }
  ~Charge() { sum_ -= amount_; }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  std::uint64_t& sum_;
  std::uint64_t amount_;
};

}  // namespace

Task<> Dispatch::clear_set_id(fs::NodeId node) {
  const auto before = co_await filesystem_.attributes(node);
  if (!before || without_set_id(before->mode) == before->mode) co_return;
  fs::Changes changes;
  changes.mode = without_set_id(before->mode);
  const auto after = co_await filesystem_.change(node, changes, std::nullopt);
  (void)after;  // a failure shows in the write that follows, if it matters
}

Task<> Dispatch::create(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode,
                        int flags, fs::Caller caller) {
  const auto how = to_open_flags(flags);
  const auto made =
      co_await filesystem_.create(parent, name, mode & 07777, how, (flags & O_EXCL) != 0, caller);
  if (!made) co_return reply.error(made.error());
  if (reply.created(made->attributes, made->handle, hints_for(*made, how, filesystem_.locks()))) {
    held_.opened(made->handle, made->attributes.id, kind_of(how));
    referenced(made->attributes, parent, name);
  } else {
    co_await filesystem_.release(made->handle);
    filesystem_.forget(made->attributes.id, 1);
  }
}

Task<> Dispatch::open(Reply reply, fs::NodeId node, int flags, bool clears_set_id) {
  const auto how = to_open_flags(flags);
  const auto opened = co_await filesystem_.open(node, how);
  if (!opened) co_return reply.error(opened.error());
  if (clears_set_id && how.truncate) co_await clear_set_id(node);
  if (reply.opened(opened->handle, hints_for(*opened, how, filesystem_.locks()))) {
    held_.opened(opened->handle, node, kind_of(how));
  } else {
    co_await filesystem_.release(opened->handle);
  }
}

Task<> Dispatch::read(Reply reply, fs::HandleId handle, std::uint64_t offset, std::size_t size) {
  const auto data = co_await filesystem_.read(handle, offset, static_cast<std::uint32_t>(size));
  if (!data) co_return reply.error(data.error());
  reply.bytes(*data);
}

Task<> Dispatch::write(Reply reply, fs::NodeId node, fs::HandleId handle, std::uint64_t offset,
                       Payload payload, bool from_page_cache, bool clears_set_id) {
  const auto data = payload.view();
  const Charge charge(payload_bytes_, data.size());
  if (clears_set_id) co_await clear_set_id(node);
  Result<> result;
  if (from_page_cache && held_.appends(handle)) {
    result = co_await write_in_place(node, offset, data);
  } else {
    result = co_await filesystem_.write(handle, offset, data);
  }
  if (!result) co_return reply.error(result.error());
  reply.written(data.size());
}

// A page of a shared mapping comes back through any handle that can write, even one that appends:
// it must go where it belongs all the same.
Task<Result<>> Dispatch::write_in_place(fs::NodeId node, std::uint64_t offset, ByteView data) {
  const fs::OpenFlags how{.read = false, .write = true};
  CO_TRY(opened, co_await filesystem_.open(node, how));
  auto result = co_await filesystem_.write(opened.handle, offset, data);
  co_await filesystem_.release(opened.handle);
  co_return result;
}

Task<> Dispatch::flush(Reply reply, fs::NodeId node, fs::HandleId handle,
                       std::uint64_t lock_owner) {
  held_locks_.flushed(node, held_locks_.owner(lock_owner));
  auto result = co_await filesystem_.flush(handle);
  if (result && options_.sync_on_close) result = co_await filesystem_.fsync(handle, false);
  reply.done(result);
}

Task<> Dispatch::fsync(Reply reply, fs::HandleId handle, bool data_only) {
  const auto result = co_await filesystem_.fsync(handle, data_only);
  reply.done(result);
}

Task<> Dispatch::release(Reply reply, fs::NodeId node, fs::HandleId handle,
                         std::optional<std::uint64_t> flock_owner) {
  std::optional<fs::LockOwner> owner;
  if (flock_owner) owner = held_locks_.owner(*flock_owner);
  held_locks_.released(node, handle, owner);
  if (held_.closed(handle)) co_await filesystem_.release(handle);
  reply.ok();
}

Task<> Dispatch::getxattr(Reply reply, fs::NodeId node, std::string name, std::size_t size) {
  if (!may_have_xattr(name)) co_return reply.error(EOPNOTSUPP);
  Result<Bytes> value;
  if (node == fs::root_node && name == node_attribute && !options_.node.empty())
    value = to_bytes(options_.node);
  else
    value = co_await filesystem_.xattr(node, std::move(name));
  if (!value) co_return reply.error(value.error());
  if (size == 0) co_return reply.needed_size(value->size());
  if (value->size() > size) co_return reply.error(ERANGE);
  reply.bytes(*value);
}

Task<> Dispatch::listxattr(Reply reply, fs::NodeId node, std::size_t size) {
  const auto names = co_await filesystem_.xattr_names(node);
  if (!names) co_return reply.error(names.error());
  Bytes list;
  for (const auto& name : *names) {
    append(list, as_bytes(name));
    list.push_back(0);
  }
  if (size == 0) co_return reply.needed_size(list.size());
  if (list.size() > size) co_return reply.error(ERANGE);
  reply.bytes(list);
}

Task<> Dispatch::setxattr(Reply reply, fs::NodeId node, std::string name, Bytes value, int flags) {
  if (!may_have_xattr(name)) co_return reply.error(EOPNOTSUPP);
  const auto mode = to_xattr_mode(flags);
  if (!mode) co_return reply.error(EINVAL);
  const auto result =
      co_await filesystem_.set_xattr(node, std::move(name), std::move(value), *mode);
  reply.done(result);
}

Task<> Dispatch::removexattr(Reply reply, fs::NodeId node, std::string name) {
  if (!may_have_xattr(name)) co_return reply.error(EOPNOTSUPP);
  const auto result = co_await filesystem_.remove_xattr(node, std::move(name));
  reply.done(result);
}

}  // namespace lafs::fuse
