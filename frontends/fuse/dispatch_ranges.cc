// SPDX-License-Identifier: Apache-2.0
// Requests about ranges of files: locks, holes, room in advance, copies.
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/file.h>

#include <algorithm>

#include "frontends/fuse/convert.h"
#include "frontends/fuse/dispatch.h"

namespace lafs::fuse {

namespace {

// What one answer can say, as whole pages (the size is 32 bits in it).
constexpr std::uint64_t longest_copy = UINT32_MAX & ~std::uint64_t{4095};

}  // namespace

Task<> Dispatch::getlk(Reply reply, fs::NodeId node, fs::Lock lock) {
  const auto in_the_way = held_locks_.table().conflict(node, lock);
  reply.lock(in_the_way);
  co_return;
}

// Shared, for the kernel may ask to give up at any moment, also before this is a task.
Task<> Dispatch::setlk(Reply reply, fs::NodeId node, fs::HandleId handle, fs::Lock lock,
                       std::shared_ptr<fs::LockWait> wait) {
  auto outcome = fs::LockOutcome::busy;
  if (wait) {
    reply.waits_for(wait);
    outcome = co_await held_locks_.table().lock(node, lock, wait);
  } else if (held_locks_.table().try_lock(node, lock)) {
    outcome = fs::LockOutcome::granted;
  }
  switch (outcome) {
    case fs::LockOutcome::granted:
      if (reply.answered()) {
        // It was killed before, and nobody would ever give the lock back.
        held_locks_.table().unlock(node, lock.family, lock.owner, lock.range);
        break;
      }
      held_locks_.taken(node, handle, lock);
      reply.ok();
      break;
    case fs::LockOutcome::busy:
      reply.error(EAGAIN);
      break;
    case fs::LockOutcome::deadlock:
      reply.error(EDEADLK);
      break;
    case fs::LockOutcome::interrupted:
      reply.error(EINTR);
      break;
  }
}

void Dispatch::unlock(Reply reply, fs::NodeId node, const fs::Lock& lock) {
  held_locks_.table().unlock(node, lock.family, lock.owner, lock.range);
  reply.ok();
}

Task<> Dispatch::lseek(Reply reply, fs::HandleId handle, std::uint64_t offset, fs::SeekFor what) {
  const auto found = co_await filesystem_.seek(handle, offset, what);
  if (!found && found.error().code == Errc::bad_range) co_return reply.error(ENXIO);
  if (!found) co_return reply.error(found.error());
  reply.offset(*found);
}

Task<> Dispatch::fallocate(Reply reply, fs::HandleId handle, std::uint64_t offset,
                           std::uint64_t length, fs::AllocateMode mode) {
  const auto done = co_await filesystem_.allocate(handle, offset, length, mode);
  reply.done(done);
}

Task<> Dispatch::copy_file_range(Reply reply, fs::HandleId from, std::uint64_t offset,
                                 fs::HandleId to, std::uint64_t to_offset, std::uint64_t length) {
  const auto copied =
      co_await filesystem_.copy_range(from, offset, to, to_offset, std::min(length, longest_copy));
  if (!copied) co_return reply.error(copied.error());
  reply.written(*copied);
}

}  // namespace lafs::fuse
