// SPDX-License-Identifier: Apache-2.0
#pragma once

// One TCP connection, with or without TLS on it. Bytes are tried at once and waited for only when
// there are none; TLS records go out and come in by the buffer, not one by one, which is most of
// what makes it quick. One reader and one writer at a time. I/O thread only.
//
// It has no deadlines of its own: whoever owns it looks at waiting_since() now and then and calls
// close() when that is too long ago.

#include <boost/asio/ip/tcp.hpp>

#include "frontends/ftp/data_address.h"
#include "frontends/ftp/tls.h"
#include "grid/base/bytes.h"
#include "grid/base/task.h"

typedef struct bio_method_st BIO_METHOD;

namespace lafs::ftp {

using Socket = asio::ip::tcp::socket;

class Stream {
 public:
  // `buffer`: how much is read at a time below TLS. Small ones are given back while nothing comes.
  Stream(Socket socket, std::size_t buffer);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Shakes hands as a server. protocol, unreachable.
  Task<Result<>> start_tls(std::unique_ptr<SSL, FreeSsl> tls);
  SSL* tls() const { return tls_.get(); }

  // At least one byte, or 0 at the end. unreachable when the connection broke.
  Task<Result<std::size_t>> read(MutableBytes into);
  Task<Result<>> write(ByteView bytes);
  // Says that nothing more will come (close_notify, FIN).
  Task<> finish();
  // TLS ended without close_notify: somebody may have cut it.
  bool truncated() const { return truncated_; }

  // Ends everything that waits here.
  void close();
  bool is_open() const { return socket_.is_open(); }
  // The other side has ended its direction or is gone, whatever has been read so far.
  bool peer_is_gone();
  // Since when the read, the write or the handshake that runs waits for the other side.
  TimePoint waiting_since() const { return std::min(reading_since_, writing_since_); }
  TimePoint writing_since() const { return writing_since_; }
  Socket& socket() { return socket_; }

 private:
  struct Bio;

  Task<Result<std::size_t>> receive(MutableBytes into);
  Task<Result<>> send(ByteView bytes);
  Task<Result<bool>> fill();
  Task<Result<>> flush();
  Task<> take_turns();

  Socket socket_;
  std::size_t buffer_;
  std::unique_ptr<SSL, FreeSsl> tls_;
  Bytes in_, out_, sending_;
  std::size_t in_at_ = 0;
  bool ended_ = false, truncated_ = false, flushing_ = false;
  unsigned at_once_ = 0;
  TimePoint reading_since_ = TimePoint::max(), writing_since_ = TimePoint::max();
};

// Of a socket's other and own end.
std::optional<Address> peer_of(const Socket& socket);
std::optional<Address> own_of(const Socket& socket);

}  // namespace lafs::ftp
