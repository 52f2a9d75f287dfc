// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's requests as calls of a Filesystem: one small coroutine each, which answers whenever
// the Filesystem does. libfuse calls the functions of operations() with the Dispatch as user data;
// names, payloads and fuse_file_info die when such a function returns, so all is copied first.
//
// Requests may end in another order than they came. What changes one inode's size is kept in order
// by the kernel (it holds the inode's lock) as far as this mount is concerned; between frontends it
// is the Filesystem's business.

#include "frontends/fuse/held.h"
#include "frontends/fuse/held_locks.h"
#include "frontends/fuse/payload.h"
#include "frontends/fuse/pending.h"
#include "frontends/fuse/raw_request.h"
#include "frontends/fuse/reply.h"
#include "frontends/fuse/trimmer.h"

struct fuse_lowlevel_ops;
struct fuse_file_info;

namespace lafs::fuse {

class Dispatch {
 public:
  struct Options {
    bool sync_on_close = false;
    std::string node = {};  // what the root says under node_attribute
    // Asks the kernel to let go of a name.
    std::function<void(fs::NodeId parent, const std::string& name)> let_go = {};
    std::size_t most_held = 100'000;  // nodes that the kernel holds, before it is asked
  };
  Dispatch(asio::any_io_executor executor, fs::Filesystem& filesystem, Timeouts timeouts,
           Options options);

  static const fuse_lowlevel_ops& operations();

  // Around each request: what it looks like, and the buffer it is in (which a write may keep).
  void begin(Buffer buffer, ByteView request);
  Buffer end() { return std::move(current_); }
  void amend(std::span<iovec> answer) { raw_.amend(answer); }
  BufferPool& buffers() { return buffers_; }

  // INIT has been answered.
  bool initialised() const { return initialised_; }

  // True when no further request should be taken before wait_one() has returned.
  bool full() const;
  Task<> wait_one() { return running_.wait_one(); }
  void cancel() { running_.cancel(); }
  // Waits for all requests, then gives back what the kernel held. The connection must have ended.
  Task<> close();

 private:
  friend struct Callbacks;

  Reply reply(fuse_req* request, const char* operation) {
    return {request, operation, timeouts_, pending_, raw_.unique()};
  }
  Task<> watch_interrupted(std::uint64_t unique);
  void spawn(Task<> task) { running_.spawn(std::move(task)); }
  Payload keep(ByteView bytes);
  void forget(fs::NodeId node, std::uint64_t references);

  // dispatch_names.cc
  void answer_entry(Reply reply, const Result<fs::Attributes>& made, fs::NodeId parent,
                    const std::string& name);
  // The kernel has one more reference, by way of this name.
  void referenced(const fs::Attributes& attributes, fs::NodeId parent, const std::string& name);
  Task<> lookup(Reply reply, fs::NodeId parent, std::string name);
  Task<> getattr(Reply reply, fs::NodeId node);
  Task<> setattr(Reply reply, fs::NodeId node, fs::Changes changes,
                 std::optional<fs::HandleId> handle, bool clears_set_id);
  Task<> readlink(Reply reply, fs::NodeId node);
  Task<> mknod(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode,
               fs::Caller caller);
  Task<> mkdir(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode,
               fs::Caller caller);
  Task<> symlink(Reply reply, fs::NodeId parent, std::string name, std::string target,
                 fs::Caller caller);
  Task<> unlink(Reply reply, fs::NodeId parent, std::string name);
  Task<> rmdir(Reply reply, fs::NodeId parent, std::string name);
  Task<> rename(Reply reply, fs::NodeId parent, std::string name, fs::NodeId new_parent,
                std::string new_name, fs::RenameMode mode);
  Task<> opendir(Reply reply, fs::NodeId node);
  Task<> readdir(Reply reply, fs::NodeId node, fs::HandleId handle, std::size_t size,
                 std::uint64_t offset, bool plus);
  Task<> releasedir(Reply reply, fs::HandleId handle);
  Task<> fsyncdir(Reply reply, fs::NodeId node);
  Task<> statfs(Reply reply);
  Task<> link(Reply reply, fs::NodeId node, fs::NodeId new_parent, std::string new_name);

  // dispatch_files.cc
  Task<> clear_set_id(fs::NodeId node);
  Task<> create(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode, int flags,
                fs::Caller caller);
  Task<> open(Reply reply, fs::NodeId node, int flags, bool clears_set_id);
  Task<> read(Reply reply, fs::HandleId handle, std::uint64_t offset, std::size_t size);
  Task<> write(Reply reply, fs::NodeId node, fs::HandleId handle, std::uint64_t offset,
               Payload payload, bool from_page_cache, bool clears_set_id);
  Task<Result<>> write_in_place(fs::NodeId node, std::uint64_t offset, ByteView data);
  Task<> flush(Reply reply, fs::NodeId node, fs::HandleId handle, std::uint64_t lock_owner);
  Task<> fsync(Reply reply, fs::HandleId handle, bool data_only);
  Task<> release(Reply reply, fs::NodeId node, fs::HandleId handle,
                 std::optional<std::uint64_t> flock_owner);
  Task<> getxattr(Reply reply, fs::NodeId node, std::string name, std::size_t size);
  Task<> listxattr(Reply reply, fs::NodeId node, std::size_t size);
  Task<> setxattr(Reply reply, fs::NodeId node, std::string name, Bytes value, int flags);
  Task<> removexattr(Reply reply, fs::NodeId node, std::string name);

  // dispatch_ranges.cc
  Task<> getlk(Reply reply, fs::NodeId node, fs::Lock lock);
  Task<> setlk(Reply reply, fs::NodeId node, fs::HandleId handle, fs::Lock lock,
               std::shared_ptr<fs::LockWait> wait);
  void unlock(Reply reply, fs::NodeId node, const fs::Lock& lock);
  Task<> lseek(Reply reply, fs::HandleId handle, std::uint64_t offset, fs::SeekFor what);
  Task<> fallocate(Reply reply, fs::HandleId handle, std::uint64_t offset, std::uint64_t length,
                   fs::AllocateMode mode);
  Task<> copy_file_range(Reply reply, fs::HandleId from, std::uint64_t offset, fs::HandleId to,
                         std::uint64_t to_offset, std::uint64_t length);

  asio::any_io_executor executor_;
  fs::Filesystem& filesystem_;
  Timeouts timeouts_;
  Options options_;
  Held held_;
  HeldLocks held_locks_;
  Trimmer trimmer_;
  Pending pending_;
  BufferPool buffers_;
  RawRequest raw_;
  Buffer current_;
  std::uint64_t payload_bytes_ = 0;  // of the writes in flight
  bool initialised_ = false;
  TaskGroup running_;
};

}  // namespace lafs::fuse
