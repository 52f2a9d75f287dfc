// SPDX-License-Identifier: Apache-2.0
#pragma once

// A content that goes to the grid while it is still being written: how long it will be is known,
// and it comes from front to back. Its key is made by chance, since the usual one is made of all of
// the content. Whatever breaks the order spoils it, and costs no more than what was sent: the
// content is uploaded as always when it is complete. I/O thread only.

#include "cache/cached_client.h"
#include "cache/staging.h"
#include "grid/base/task.h"

namespace lafs::cache {

class ContentStream {
 public:
  // `file` is what is being written, and outlives run().
  ContentStream(asio::any_io_executor executor, CachedClient& client, const StagedFile& file,
                std::uint64_t size);

  // Sends what comes until all is on the grid, until it is spoiled, or nothing has come for a
  // while. Once; to be joined like any other task.
  Task<> run();

  // These bytes are in the file now.
  void wrote(std::uint64_t at, std::uint64_t size);
  // So long is the file now.
  void cut(std::uint64_t size);
  // The content is another one.
  void spoil();
  bool spoiled() const { return spoiled_; }
  std::uint64_t have() const { return have_; }
  // All has come, in order, and it is still what came.
  bool whole() const { return !spoiled_ && have_ == size_; }
  // When whole(): the cap, or why there is none. Waits for the end of run().
  Task<Result<Cap>> cap();

 private:
  Task<> put();
  Task<Result<>> read(std::uint64_t at, MutableBytes out);

  asio::any_io_executor executor_;
  CachedClient& client_;
  const StagedFile& file_;
  const std::uint64_t size_;
  std::uint64_t have_ = 0;
  TimePoint last_;
  bool spoiled_ = false, ended_ = false;
  std::optional<Result<Cap>> cap_;
  Signal changed_;
};

}  // namespace lafs::cache
