// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a Connection is made of. For connection.cc and connection_begin.cc: it includes Beast.

#include <map>

#include "grid/introducer/connection.h"
#include "grid/storage/http_stream.h"
#include "grid/storage/tls.h"

namespace lafs::grid::introducer {

struct Offered {
  Connection::Handler handler;
  Reference reference;
  bool introduced = false;  // its interface was said
};

struct PendingCall {
  std::optional<Result<Value>> result;
};

struct Connection::State {
  State(asio::any_io_executor executor_, storage::TlsStream stream_)
      : executor(executor_), stream(std::move(stream_)), changed(executor_), tasks(executor_) {}

  Task<Result<std::string>> read_block();
  Task<Result<>> negotiate(const storage::Identity& identity, std::string expected_tub,
                           ConnectionLedger* counting);
  Task<> read_loop();
  Task<> write_loop();
  Task<> keep_alive();
  void hear(BananaReader::Event event);
  void answer(const Call& call);
  void resolve(std::int64_t request, Result<Value> result);
  void push(Bytes bytes);
  void end(Error error);

  asio::any_io_executor executor;
  storage::TlsContext tls;
  storage::TlsStream stream;
  std::string peer_tub;
  std::string unread;  // of the negotiation, when more came than a block
  BananaReader reader{false};
  BananaWriter writer;
  Bytes unsent;
  std::map<std::int64_t, Offered> offered;
  std::map<std::string, std::int64_t, std::less<>> names;
  std::int64_t next_object = 1;
  std::map<std::int64_t, std::shared_ptr<PendingCall>> pending;
  std::int64_t next_request = 1;
  TimePoint last_heard = Clock::now();
  std::optional<Error> ended;
  std::function<void()> when_ended;
  ConnectionLedger* ledger = nullptr;
  std::uint64_t ledger_number = 0;
  Signal changed;  // an answer, something to send, or the end
  TaskGroup tasks;
};

inline Error network_error(const storage::beast::error_code& error, std::string_view what) {
  if (error == asio::error::operation_aborted) return {Errc::cancelled, {}};
  return {Errc::unreachable, std::string(what) + ": " + error.message()};
}

}  // namespace lafs::grid::introducer
