// SPDX-License-Identifier: Apache-2.0
#pragma once

// The memory that requests are received into, and the bytes of a write that outlive their request.
// Buffers are a little over 1 MiB and made by libfuse with malloc; the first touch of fresh pages
// costs more than everything else, so they are used again.

#include <cstdlib>
#include <memory>
#include <vector>

#include "grid/base/bytes.h"

namespace lafs::fuse {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<void, Free>;

class BufferPool {
 public:
  // A used buffer, or none: libfuse then makes one.
  Buffer take() {
    if (free_.empty()) return {};
    auto buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }
  void give(Buffer buffer) {
    if (buffer && free_.size() < most_kept) free_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t most_kept = 16;
  std::vector<Buffer> free_;
};

// A write's bytes: copied when few, else in the buffer they came in, which returns to its pool.
class Payload {
 public:
  explicit Payload(Bytes copy) : copy_(std::move(copy)), view_(copy_) {}
  Payload(BufferPool& pool, Buffer buffer, ByteView view)
      : pool_(&pool), buffer_(std::move(buffer)), view_(view) {}
  Payload(Payload&& other) noexcept = default;
  Payload& operator=(Payload&&) = delete;
  ~Payload() {
    if (buffer_) pool_->give(std::move(buffer_));
  }

  ByteView view() const { return view_; }

 private:
  Bytes copy_;
  BufferPool* pool_ = nullptr;
  Buffer buffer_;
  ByteView view_;  // into copy_ or buffer_: both stay where they are when this object moves
};

}  // namespace lafs::fuse
