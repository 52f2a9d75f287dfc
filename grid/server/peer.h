// SPDX-License-Identifier: Apache-2.0
#pragma once

// One client's connection: bytes in and out, over TLS or, for tests, in the clear. OpenSSL works on
// the socket itself and gives its buffers back when nothing is under way, so an idle connection
// costs little more than its keys. I/O thread only; one reader and writer at a time.
//
// Deadlines cost no timer: whoever owns the peers calls check_deadline() now and then.

#include <boost/asio/generic/stream_protocol.hpp>

#include "grid/base/bytes.h"
#include "grid/base/task.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace lafs::grid::storage {

class Peer {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  // `tls`: nothing for no TLS.
  Peer(Socket socket, SSL_CTX* tls);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Errors of all of these: closed (the peer has ended properly), unreachable, timed_out.
  Task<Result<>> handshake();
  // At least one byte.
  Task<Result<std::size_t>> read_some(MutableBytes to);
  // All of it.
  Task<Result<>> write(ByteView data);
  // Until there is something to read; holds no memory meanwhile.
  Task<Result<>> wait_readable();
  // The first bytes, which stay to be read: fewer than asked for when the peer ends before.
  Task<Result<std::size_t>> peek(MutableBytes to);
  // Says goodbye, if that needs no waiting: the client then knows that this was no accident.
  void end();
  // After end(), when the peer may still be sending: what it sends is thrown away for a while, or a
  // reset would overtake our last words.
  Task<> linger();
  // Answers in the clear, below TLS, and waits until the peer has gone.
  Task<> turn_away(std::string_view text);
  // Ends every wait; nothing is sent or received any more.
  void close();

  // What waits for the peer from now on fails after this long without set_deadline().
  void set_deadline(Duration from_now) { deadline_ = Clock::now() + from_now; }
  void check_deadline(TimePoint now);
  // Ends a wait under way with Errc::cancelled.
  void interrupt();

 private:
  enum class Want : std::uint8_t { read, write };
  Task<Result<>> wait(Want want);
  // After a call of OpenSSL that returned `result`: what to wait for, or what went wrong.
  Result<Want> what_now(int result);

  Socket socket_;
  SSL* ssl_ = nullptr;
  TimePoint deadline_ = TimePoint::max();
  bool waiting_ = false;
  bool late_ = false;
  bool closed_ = false;  // the descriptor stays ours till the end: OpenSSL knows its number
};

}  // namespace lafs::grid::storage
