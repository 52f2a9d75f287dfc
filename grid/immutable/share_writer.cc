// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_writer.h"

#include <boost/asio/this_coro.hpp>

namespace lafs::grid {

ShareWriter::ShareWriter(asio::any_io_executor executor, Target target, SendPatience& patience,
                         SendLimits limits, std::uint64_t window)
    : target_(std::move(target)),
      patience_(patience),
      self_(patience.join()),
      limits_(limits),
      window_(std::min(2 * limits.piece, window), window),
      sending_(std::move(executor)) {}

void ShareWriter::start_sending() {
  if (queued_.empty()) return;
  const auto offset = queued_at_;
  queued_at_ += queued_.size();
  auto data = std::exchange(queued_, {});
  if (target_.written.missing({offset, queued_at_}).empty()) return;
  under_way_ += data.size();
  sending_.spawn(send(offset, std::move(data)));
  if (queued_at_ < target_.share_size)
    queued_.reserve(std::min<std::uint64_t>(limits_.piece, target_.share_size - queued_at_));
}

Task<> ShareWriter::send(std::uint64_t offset, Bytes data) {
  const auto ticket = window_.started(Clock::now());
  patience_.started(self_);
  auto reply = co_await write_patiently(offset, data);
  under_way_ -= data.size();
  if (!reply) {
    patience_.failed(self_);
    if (!error_) co_await look_whether_complete(std::move(reply).error());
    co_return;
  }
  const auto now = Clock::now();
  window_.acknowledged(ticket, data.size(), now);
  patience_.took(self_, now - ticket.at, now);
  sent_ += data.size();
  complete_ = complete_ || reply->complete;
}

// A slow line has its time; a line that is quick for others does not need it. What others do is
// looked at again and again: when this piece set out, perhaps nothing was known of them.
Task<Result<storage::WriteProgress>> ShareWriter::write_patiently(std::uint64_t offset,
                                                                  ByteView data) {
  const auto begin = Clock::now();
  const auto last = begin + limits_.deadline + std::chrono::seconds(data.size() >> 14);
  std::optional<Result<storage::WriteProgress>> reply;
  TaskGroup writing(co_await asio::this_coro::executor);
  writing.spawn(lafs::detail::store(
      target_.server->write(target_.si, target_.number, target_.secret, offset, data), reply));
  bool late = false;
  while (writing.running() > 0 && !late) {
    co_await writing.wait_one(std::min(last, patience_.next_look(begin, Clock::now())));
    const auto now = Clock::now();
    late = now >= last || patience_.overdue(self_, begin, now);
  }
  late = late && writing.running() > 0;
  if (late) writing.cancel();
  co_await writing.join();
  if (reply && (*reply || !late)) co_return std::move(*reply);
  co_return fail(late ? Errc::timed_out : Errc::cancelled,
                 "writing share " + std::to_string(target_.number.value));
}

// A share that another upload of the same file has finished meanwhile refuses to be written to.
Task<> ShareWriter::look_whether_complete(Error error) {
  if (error.code == Errc::not_found || error.code == Errc::refused) {
    auto there = co_await within(std::chrono::seconds(15), "listing shares",
                                 target_.server->list(storage::ShareKind::immutable, target_.si));
    if (there && there->contains(target_.number)) {
      complete_ = true;
      co_return;
    }
  }
  if (!error_ && !complete_) error_ = std::move(error);
}

Task<Result<>> ShareWriter::append(ByteView data) {
  if (error_) co_return std::unexpected(*error_);
  if (complete_) co_return Result<>{};
  lafs::append(queued_, data);
  if (queued_.size() >= limits_.piece) start_sending();
  while (under_way_ > window_.bytes() && !error_) co_await sending_.wait_one();
  if (error_) co_return std::unexpected(*error_);
  co_return Result<>{};
}

Task<Result<>> ShareWriter::finish() {
  if (!error_ && !complete_) start_sending();
  co_await sending_.join();
  if (error_) co_return std::unexpected(*error_);
  if (!complete_) {
    error_ = Error{Errc::protocol, "the server did not say that the share is complete after " +
                                       std::to_string(queued_at_) + " of " +
                                       std::to_string(target_.share_size) + " bytes"};
    co_return std::unexpected(*error_);
  }
  co_return Result<>{};
}

Task<> ShareWriter::abort() {
  if (!error_) error_ = Error{Errc::cancelled, "the upload was given up"};
  sending_.cancel();
  co_await sending_.join();
  if (!complete_) {
    co_await abort_share(target_.server, target_.si, target_.number, target_.secret);
  }
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
