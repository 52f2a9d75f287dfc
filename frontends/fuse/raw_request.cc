// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/raw_request.h"

#include <linux/fuse.h>

#include <optional>

namespace lafs::fuse {

namespace {

// The `T` at the front of `bytes`, in the byte order of this machine as the kernel writes it.
template <class T>
std::optional<T> front(ByteView bytes) {
  if (bytes.size() < sizeof(T)) return {};
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Older kernels send a shorter INIT: this much is common to all that offer the feature.
struct InitFront {
  std::uint32_t major, minor, max_readahead, flags;
};

}  // namespace

void RawRequest::look_at(ByteView request) {
  clears_set_id_ = false;
  unique_ = interrupted_ = 0;
  const auto header = front<fuse_in_header>(request);
  if (!header) return;
  unique_ = header->unique;
  const auto body = request.subspan(sizeof(fuse_in_header));
  switch (header->opcode) {
    case FUSE_INIT:
      if (const auto in = front<InitFront>(body)) {
        init_ = in->flags & FUSE_HANDLE_KILLPRIV_V2 ? header->unique : 0;
      }
      break;
    case FUSE_INTERRUPT:
      if (const auto in = front<fuse_interrupt_in>(body)) interrupted_ = in->unique;
      break;
    case FUSE_WRITE:
      if (const auto in = front<fuse_write_in>(body)) {
        clears_set_id_ = (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
      }
      break;
    case FUSE_SETATTR:
      if (const auto in = front<fuse_setattr_in>(body)) {
        clears_set_id_ = (in->valid & FATTR_KILL_SUIDGID) != 0;
      }
      break;
    case FUSE_OPEN:
      if (const auto in = front<fuse_open_in>(body)) {
        clears_set_id_ = (in->open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
      }
      break;
    default:
      break;
  }
}

void RawRequest::amend(std::span<iovec> answer) {
  if (init_ == 0 || answer.size() < 2) return;
  if (answer[0].iov_len < sizeof(fuse_out_header) || answer[1].iov_len < sizeof(InitFront)) return;
  fuse_out_header header;
  std::memcpy(&header, answer[0].iov_base, sizeof header);
  if (header.unique != init_) return;
  init_ = 0;
  if (header.error != 0) return;
  InitFront out;  // INIT's answer begins with the same four fields
  std::memcpy(&out, answer[1].iov_base, sizeof out);
  out.flags |= FUSE_HANDLE_KILLPRIV_V2;
  std::memcpy(answer[1].iov_base, &out, sizeof out);
}

}  // namespace lafs::fuse
