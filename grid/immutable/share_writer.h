// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sends one share to one server: in order, in pieces of about a megabyte, a few of them under way
// at once (spec/immutable 10.6). Owned by an upload; finish() or abort() before it goes away.

#include <memory>

#include "grid/storage/server.h"

namespace lafs::grid {

struct SendLimits {
  std::uint64_t piece = 1'000'000;               // bytes queued before they are sent
  std::size_t window = 2;                        // pieces under way
  Duration deadline = std::chrono::seconds(60);  // for one piece, besides a second per 16 KiB
};

class ShareWriter {
 public:
  ShareWriter(asio::any_io_executor executor, std::shared_ptr<storage::Server> server,
              StorageIndex si, ShareNo number, storage::UploadSecret secret,
              std::uint64_t share_size, SendLimits limits);

  ShareNo number() const { return number_; }
  // The first thing that went wrong. After that nothing more is sent.
  const std::optional<Error>& error() const { return error_; }
  bool complete() const { return complete_ && !error_; }
  std::uint64_t sent() const { return sent_; }

  // The next bytes of the share. Waits while the window is full.
  Task<Result<>> append(ByteView data);
  // Sends the rest and waits until the server has said that the share is complete.
  Task<Result<>> finish();
  // Makes the server forget an unfinished share; nothing when it is complete. Bounded in time,
  // errors are dropped: there is nobody left to tell.
  Task<> abort();

 private:
  void start_sending();
  Task<> send(std::uint64_t offset, Bytes data);

  std::shared_ptr<storage::Server> server_;
  StorageIndex si_;
  ShareNo number_;
  storage::UploadSecret secret_;
  std::uint64_t share_size_;
  SendLimits limits_;
  TaskGroup sending_;
  Bytes queued_;
  std::uint64_t queued_at_ = 0;  // offset in the share of the first queued byte
  std::uint64_t sent_ = 0;       // bytes that the server has acknowledged
  bool complete_ = false;
  std::optional<Error> error_;
};

// Asks a server to forget an unfinished share: twice at most, each for a few seconds.
Task<> abort_share(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
                   storage::UploadSecret secret);

}  // namespace lafs::grid
