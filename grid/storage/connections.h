// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keep-alive connections of one RemoteServer and the exchange of one request for one reply over
// them. Knows HTTP and deadlines, not the storage protocol. I/O thread only. For remote_server.cc:
// it includes Beast.

#include <boost/asio/ip/tcp.hpp>
#include <list>
#include <map>

#include "grid/storage/http_stream.h"
#include "grid/storage/remote_server.h"
#include "grid/storage/tls.h"

namespace lafs::grid::storage {

struct HttpRequest {
  std::string head;  // request line and headers, with the empty line
  ByteView body;     // stays until the exchange ends
  // Doing it twice is as good as once: it may be sent again when a kept connection turns out dead.
  bool repeatable = false;
  std::uint64_t reply_limit = 0;  // longest body of a 2xx reply
};

struct HttpAnswer {
  unsigned status = 0;
  std::string content_type;
  std::string content_range;
  std::string date;  // as the server wrote it
  Bytes body;
  bool repeated = false;  // the request was sent twice
};

class RemoteServer::Connections {
 public:
  Connections(asio::any_io_executor executor, Nurl nurl, Options options);

  // Errc: unreachable, timed_out, wrong_certificate, protocol, too_large, cancelled, closed,
  // unsupported.
  Task<Result<HttpAnswer>> exchange(HttpRequest request);
  Task<> close();

  const Nurl& nurl() const { return nurl_; }
  const std::string& name() const { return name_; }
  const std::string& common_headers() const { return common_headers_; }
  // A header line with what the server asked to hear since it last did; empty without [feedback].
  std::string report() const;
  void reported(const std::string& line);
  std::size_t open() const { return in_use_ + idle_.size(); }
  std::optional<std::chrono::seconds> clock_ahead;

 private:
  using Tcp = asio::ip::tcp;
  using ReplyParser = http::response_parser<http::buffer_body>;

  struct Connection {
    explicit Connection(TlsStream s) : stream(std::move(s)) {}
    TlsStream stream;
    beast::flat_buffer buffer;
    TimePoint last_used{};
    bool reusable = false;
  };
  // The right to have one more connection in use, which in_use_ has counted.
  class Slot {
   public:
    explicit Slot(Connections& owner) : owner_(&owner) {}
    Slot(Slot&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (owner_) owner_->release();
    }

   private:
    Connections* owner_;
  };

  Task<Result<HttpAnswer>> try_exchange(HttpRequest request);
  Task<Result<Slot>> claim();
  void release();
  std::unique_ptr<Connection> take_idle();
  // One place where the server is.
  struct Place {
    std::string host;
    std::uint16_t port = 0;
    std::vector<Tcp::endpoint> endpoints = {};  // what the name led to
    TimePoint resolved_at{};
  };
  struct Race;

  // To whichever place answers first.
  Task<Result<std::unique_ptr<Connection>>> connect();
  Task<> run_for(std::size_t place, Race& race);
  Task<Result<std::unique_ptr<Connection>>> connect_to(std::size_t place);
  Task<Result<>> establish(Connection& c, Place& at);
  Task<Result<std::vector<Tcp::endpoint>>> resolve(Place& at);
  // `answered`: whether any byte of a reply came.
  Task<Result<HttpAnswer>> perform(Connection& c, const HttpRequest& request, bool& answered);
  // What an error means to the caller of exchange().
  Task<Error> explain(Error error);

  asio::any_io_executor executor_;
  Nurl nurl_;
  Options options_;
  std::string name_;
  std::string common_headers_;
  std::map<Errc, std::uint64_t> errors_;  // met with this server, and not reported yet
  ClientTls tls_;                         // outlives the connections
  std::list<std::unique_ptr<Connection>> idle_;
  std::list<Connection*> active_;  // what close() has to cut
  std::vector<Place> places_;      // never empty, never more
  std::size_t last_good_ = 0;      // of them
  std::size_t in_use_ = 0;
  // Who waits for a slot, in the order they came: each is woken when one is his.
  struct Waiter {
    explicit Waiter(asio::any_io_executor executor) : woken(std::move(executor)) {}
    Signal woken;
    bool has_it = false;
  };
  std::list<Waiter*> waiting_;
  bool closing_ = false;
  Gate gate_;
};

}  // namespace lafs::grid::storage
