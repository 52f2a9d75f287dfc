// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_writer.h"

namespace lafs::grid {

ShareWriter::ShareWriter(asio::any_io_executor executor, std::shared_ptr<storage::Server> server,
                         StorageIndex si, ShareNo number, storage::UploadSecret secret,
                         std::uint64_t share_size, SendLimits limits)
    : server_(std::move(server)),
      si_(si),
      number_(number),
      secret_(secret),
      share_size_(share_size),
      limits_(limits),
      sending_(std::move(executor)) {}

void ShareWriter::start_sending() {
  if (queued_.empty()) return;
  const auto offset = queued_at_;
  queued_at_ += queued_.size();
  sending_.spawn(send(offset, std::exchange(queued_, {})));
}

Task<> ShareWriter::send(std::uint64_t offset, Bytes data) {
  const auto limit = limits_.deadline + std::chrono::seconds(data.size() >> 14);
  const auto what = "writing share " + std::to_string(number_.value);
  auto reply = co_await within(limit, what, server_->write(si_, number_, secret_, offset, data));
  if (!reply) {
    if (!error_) error_ = std::move(reply).error();
    co_return;
  }
  sent_ += data.size();
  complete_ = complete_ || reply->complete;
}

Task<Result<>> ShareWriter::append(ByteView data) {
  if (error_) co_return std::unexpected(*error_);
  lafs::append(queued_, data);
  if (queued_.size() >= limits_.piece) start_sending();
  while (sending_.running() > limits_.window && !error_) co_await sending_.wait_one();
  if (error_) co_return std::unexpected(*error_);
  co_return Result<>{};
}

Task<Result<>> ShareWriter::finish() {
  if (!error_) start_sending();
  co_await sending_.join();
  if (error_) co_return std::unexpected(*error_);
  if (!complete_) {
    error_ = Error{Errc::protocol, "the server did not say that the share is complete after " +
                                       std::to_string(queued_at_) + " of " +
                                       std::to_string(share_size_) + " bytes"};
    co_return std::unexpected(*error_);
  }
  co_return Result<>{};
}

Task<> ShareWriter::abort() {
  if (!error_) error_ = Error{Errc::cancelled, "the upload was given up"};
  sending_.cancel();
  co_await sending_.join();
  if (!complete_) co_await abort_share(server_, si_, number_, secret_);
}

Task<> abort_share(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
                   storage::UploadSecret secret) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto reply = co_await within(std::chrono::seconds(5), "aborting an upload",
                                 server->abort(si, number, secret));
    if (reply || reply.error().code == Errc::not_found || reply.error().code == Errc::refused) {
      co_return;
    }
  }
}

}  // namespace lafs::grid
