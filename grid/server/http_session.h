// SPDX-License-Identifier: Apache-2.0
#pragma once

// The requests of one connection, one after another: reads a request, calls the storage server,
// writes the reply. What a request means is http_exchange.h's to decide. For .cc files: it includes
// Beast.

#include "grid/server/http_exchange.h"
#include "grid/server/http_figures.h"
#include "grid/server/http_service.h"
#include "grid/server/request_body.h"

namespace lafs::grid::storage {

// Memory for the pieces of bodies that pass through. It is used again: clearing fresh memory takes
// a good part of the time that receiving into it does.
class PieceBuffers {
 public:
  static constexpr std::size_t piece = 1 << 20;

  Bytes take() {
    if (spare_.empty()) return Bytes(piece);
    auto out = std::move(spare_.back());
    spare_.pop_back();
    return out;
  }
  void give(Bytes buffer) {
    if (buffer.size() == piece && spare_.size() < most_spare) spare_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t most_spare = 8;
  std::vector<Bytes> spare_;
};

// What all connections of a service share; outlives them.
struct SessionContext {
  Server& server;
  const HttpService::Options& options;
  const HttpExchange& exchange;
  HttpFigures& figures;
  Limiter& memory;  // bytes of large bodies, either way
  PieceBuffers& pieces;
  const bool& draining;  // the reply under way is the connection's last
};

class HttpSession {
 public:
  HttpSession(Peer& peer, SessionContext& context) : peer_(peer), context_(context) {}

  // Until there is a request. False: the connection is over.
  Task<bool> wait_for_request();
  // One request and its reply. False: the connection is over.
  Task<bool> serve_one();
  // Whether the client may still be sending what nobody wants.
  bool cut_short() const { return cut_short_; }

 private:
  // The connection ends with this reply, with a body on its way to us.
  void hang_up() {
    keep_alive_ = false;
    cut_short_ = true;
  }
  void hear_report(const HttpHead& head);
  Task<Result<>> answer(RequestParser& parser);
  Task<Result<>> reply(const HttpReply& reply, bool head_only = false);
  Task<Result<>> send(std::string head, ByteView body);

  // One per way of handling a body. An error means that the connection is of no use any more.
  Task<Result<>> do_write(const HttpCall& call, RequestBody& body);
  Task<Result<>> do_read(const HttpCall& call);
  Task<HttpReply> do_small(const HttpCall& call, Bytes body);
  Task<HttpReply> do_read_test_write(const HttpCall& call, Bytes body);
  Task<Result<std::uint64_t>> end_of_read(const HttpCall& call);
  Task<Result<>> stream_share(const HttpCall& call, ByteRange range, bool chunked);
  // Waits for room for a large body; nothing for a small one.
  Task<std::optional<Limiter::Permit>> room_for(std::uint64_t bytes);

  Peer& peer_;
  SessionContext& context_;
  boost::beast::flat_buffer buffer_;
  std::uint64_t requests_ = 0;
  // Of the request being answered.
  bool keep_alive_ = false;
  bool cut_short_ = false;
  std::optional<Endpoint> endpoint_;
  unsigned status_ = 0;
};

}  // namespace lafs::grid::storage
