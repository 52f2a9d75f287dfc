// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Foolscap connection to one peer, made or accepted: remote calls both ways (spec/storage 9).
// Who the peer is rests on the hash of its certificate, the tub id. I/O thread only; close() before
// destruction.

#include <functional>
#include <memory>
#include <string>

#include "grid/base/task.h"
#include "grid/introducer/messages.h"
#include "grid/introducer/negotiation.h"
#include "grid/storage/identity.h"
#include "grid/storage/nurl.h"

namespace lafs::grid::introducer {

class Connection {
 public:
  // Answers one call at once. An error goes to the caller as a failure.
  using Handler = std::function<Result<Value>(const Call&)>;

  // To whichever of the address's places answers first. Errc::unreachable, timed_out, protocol,
  // refused, wrong_certificate; unsupported when there is no hint that we can reach.
  static Task<Result<std::unique_ptr<Connection>>> connect(asio::any_io_executor executor,
                                                           const storage::Identity& identity,
                                                           storage::Furl furl, Duration limit);
  // The other side of it, for an accepted TCP connection; `fd` is ours from here on. The ledger
  // outlives the connection.
  static Task<Result<std::unique_ptr<Connection>>> accept(asio::any_io_executor executor,
                                                          const storage::Identity& identity,
                                                          ConnectionLedger& ledger, int fd,
                                                          Duration limit);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::string& peer_tub() const;

  // Begins to hear and to speak. Before it, offer what the peer may ask for at once.
  void start();

  // Offers an object to the peer: under the number it returns and, when `name` is not empty, by
  // that name.
  std::int64_t offer(Handler handler, std::string name = {}, std::string interface = {},
                     std::string furl = {});
  // How an offered object is passed to the peer.
  Value pass(std::int64_t object);

  // Calls a method of an object of the peer's. Errc::refused with the peer's words when that
  // failed.
  Task<Result<Value>> call(std::int64_t object, std::string method, std::vector<Value> arguments,
                           Duration limit);
  // The object that the peer offers under a name.
  Task<Result<Reference>> find(std::string name, Duration limit);

  bool alive() const;
  // Why it ended; nothing while it is alive.
  std::optional<Error> why_ended() const;
  // Called once, when it ends for whatever reason.
  void when_ended(std::function<void()> then);
  // Cuts it now; close() still has to be called.
  void drop();
  Task<> close();

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// 16 hexadecimal digits by chance.
std::string fresh_incarnation();

}  // namespace lafs::grid::introducer
