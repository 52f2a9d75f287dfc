// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sends one share to one server: in order, in pieces of about a megabyte, as many under way at once
// as fill the line to that server (spec/immutable 10.6). Owned by an upload; finish() or abort()
// before it goes away.

#include <memory>

#include "grid/base/ranges.h"
#include "grid/immutable/send_pace.h"
#include "grid/storage/server.h"

namespace lafs::grid {

struct SendLimits {
  std::uint64_t piece = 1'000'000;                    // bytes queued before they are sent
  std::uint64_t memory = std::uint64_t{64} << 20;     // of all shares of one upload, under way
  Duration deadline = std::chrono::seconds(60);       // for one piece, besides a second per 16 KiB
  Duration least_deadline = std::chrono::seconds(3);  // when other servers are quick
};

class ShareWriter {
 public:
  struct Target {
    std::shared_ptr<storage::Server> server;
    StorageIndex si;
    ShareNo number;
    storage::UploadSecret secret;
    std::uint64_t share_size = 0;
    RangeSet written = {};  // what the server has already, of an attempt that was interrupted
  };

  // `patience`, shared by all writers of an upload, outlives this. `window`: the most bytes under
  // way.
  ShareWriter(asio::any_io_executor executor, Target target, SendPatience& patience,
              SendLimits limits, std::uint64_t window);

  ShareNo number() const { return target_.number; }
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
  Task<Result<storage::WriteProgress>> write_patiently(std::uint64_t offset, ByteView data);
  Task<> look_whether_complete(Error error);

  Target target_;
  SendPatience& patience_;
  SendPatience::Writer self_;
  SendLimits limits_;
  SendWindow window_;
  TaskGroup sending_;
  Bytes queued_;
  std::uint64_t queued_at_ = 0;  // offset in the share of the first queued byte
  std::uint64_t under_way_ = 0;  // bytes
  std::uint64_t sent_ = 0;       // bytes that the server has acknowledged
  bool complete_ = false;
  std::optional<Error> error_;
};

// Asks a server to forget an unfinished share: twice at most, each for a few seconds.
Task<> abort_share(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
                   storage::UploadSecret secret);

}  // namespace lafs::grid
