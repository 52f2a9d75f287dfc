// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace lafs::ftp {

namespace {
constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t small_buffer = 16 * 1024;
// How often a connection that never has to wait lets the others have their turn.
constexpr unsigned turns = 4;
}  // namespace

// OpenSSL's side of the two buffers.
struct Stream::Bio {
  static int read(BIO* bio, char* to, int size) {
    auto* self = static_cast<Stream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const auto there = self->in_.size() - self->in_at_;
    if (!there) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const auto n = std::min(there, static_cast<std::size_t>(size));
    std::memcpy(to, self->in_.data() + self->in_at_, n);
    self->in_at_ += n;
    return static_cast<int>(n);
  }
  static int write(BIO* bio, const char* from, int size) {
    auto* self = static_cast<Stream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    append(self->out_,
           {reinterpret_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size)});
    return size;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }
  static BIO_METHOD* method() {
    static BIO_METHOD* made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lafs stream");
      BIO_meth_set_read(m, read);
      BIO_meth_set_write(m, write);
      BIO_meth_set_ctrl(m, control);
      return m;
    }();
    return made;
  }
};

Stream::Stream(Socket socket, std::size_t buffer) : socket_(std::move(socket)), buffer_(buffer) {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
}

Stream::~Stream() = default;

void Stream::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

Task<> Stream::take_turns() {
  if (++at_once_ % turns == 0) co_await asio::post(socket_.get_executor(), asio::use_awaitable);
}

Task<Result<std::size_t>> Stream::receive(MutableBytes into) {
  co_await take_turns();
  for (;;) {
    if (!socket_.is_open()) co_return fail(Errc::cancelled, "connection");
    const auto n = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (n >= 0) co_return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) co_return fail(Errc::unreachable, "connection");
    reading_since_ = Clock::now();
    auto [error] = co_await socket_.async_wait(Socket::wait_read, quietly);
    reading_since_ = TimePoint::max();
    if (error) co_return fail(Errc::cancelled, "connection");
  }
}

Task<Result<>> Stream::send(ByteView bytes) {
  co_await take_turns();
  while (!bytes.empty()) {
    if (!socket_.is_open()) co_return fail(Errc::cancelled, "connection");
    const auto n =
        ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) co_return fail(Errc::unreachable, "connection");
    writing_since_ = Clock::now();
    auto [error] = co_await socket_.async_wait(Socket::wait_write, quietly);
    writing_since_ = TimePoint::max();
    if (error) co_return fail(Errc::cancelled, "connection");
  }
  co_return Result<>{};
}

// Reads below TLS. False at the end of the connection.
Task<Result<bool>> Stream::fill() {
  const bool small = buffer_ <= small_buffer;
  if (small) Bytes().swap(in_);
  in_at_ = 0;
  if (small && socket_.is_open()) {
    // Without a buffer while nothing comes: most connections are idle most of the time.
    in_.clear();
    reading_since_ = Clock::now();
    auto [error] = co_await socket_.async_wait(Socket::wait_read, quietly);
    reading_since_ = TimePoint::max();
    if (error) co_return fail(Errc::cancelled, "connection");
  }
  in_.resize(buffer_);
  auto n = co_await receive(in_);
  in_.resize(n ? *n : 0);
  if (!n) co_return std::unexpected(std::move(n.error()));
  co_return *n > 0;
}

Task<Result<>> Stream::flush() {
  // A reader may have something to say as well (a key update); whoever is sending takes it along.
  if (flushing_) co_return Result<>{};
  flushing_ = true;
  Result<> done;
  while (done && !out_.empty()) {
    sending_.clear();
    sending_.swap(out_);
    done = co_await send(sending_);
  }
  flushing_ = false;
  if (buffer_ <= small_buffer) {
    Bytes().swap(sending_);
    Bytes().swap(out_);
  }
  co_return done;
}

Task<Result<>> Stream::start_tls(std::unique_ptr<SSL, FreeSsl> tls) {
  tls_ = std::move(tls);
  BIO* bio = BIO_new(Bio::method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls_.get(), bio, bio);
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(tls_.get());
    const int why = SSL_get_error(tls_.get(), done);
    CO_TRY_DO(co_await flush());
    if (done == 1) co_return Result<>{};
    if (why != SSL_ERROR_WANT_READ) {
      char text[128] = "";
      ERR_error_string_n(ERR_get_error(), text, sizeof text);
      co_return fail(Errc::protocol, std::string("TLS handshake: ") + text);
    }
    CO_TRY(more, co_await fill());
    if (!more) co_return fail(Errc::unreachable, "TLS handshake: the client hung up");
  }
}

Task<Result<std::size_t>> Stream::read(MutableBytes into) {
  if (!tls_) {
    if (buffer_ <= small_buffer && socket_.is_open()) {
      reading_since_ = Clock::now();
      auto [error] = co_await socket_.async_wait(Socket::wait_read, quietly);
      reading_since_ = TimePoint::max();
      if (error) co_return fail(Errc::cancelled, "connection");
    }
    co_return co_await receive(into);
  }
  std::size_t have = 0;
  while (have < into.size() && !ended_) {
    std::size_t n = 0;
    ERR_clear_error();
    const int done = SSL_read_ex(tls_.get(), into.data() + have, into.size() - have, &n);
    if (done == 1) {
      have += n;
      continue;
    }
    const int why = SSL_get_error(tls_.get(), done);
    if (why == SSL_ERROR_ZERO_RETURN) {
      ended_ = true;
    } else if (why != SSL_ERROR_WANT_READ) {
      if (have) break;  // what was good is handed out first
      co_return fail(Errc::protocol, "TLS record");
    } else {
      if (!out_.empty()) CO_TRY_DO(co_await flush());
      if (have) break;
      CO_TRY(more, co_await fill());
      if (!more) ended_ = truncated_ = true;
    }
  }
  co_return have;
}

Task<Result<>> Stream::write(ByteView bytes) {
  if (!tls_) co_return co_await send(bytes);
  while (!bytes.empty()) {
    std::size_t n = 0;
    ERR_clear_error();
    if (SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &n) != 1)
      co_return fail(Errc::protocol, "TLS record");
    bytes = bytes.subspan(n);
  }
  co_return co_await flush();
}

Task<> Stream::finish() {
  if (!socket_.is_open()) co_return;
  if (tls_ && SSL_is_init_finished(tls_.get())) {
    ERR_clear_error();
    SSL_shutdown(tls_.get());
    ERR_clear_error();
    co_await flush();
  }
  if (!socket_.is_open()) co_return;
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  // What has come and nobody wants: left unread, it would turn the end into a reset.
  std::uint8_t rest[4096];
  for (int i = 0; i < 16; ++i)
    if (::recv(socket_.native_handle(), rest, sizeof rest, MSG_DONTWAIT) <= 0) break;
}

bool Stream::peer_is_gone() {
  if (!socket_.is_open()) return true;
  pollfd look{socket_.native_handle(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

namespace {
std::optional<Address> address_of(const boost::system::error_code& error,
                                  const asio::ip::tcp::endpoint& endpoint) {
  if (error) return {};
  return Address::parse(endpoint.address().to_string());
}
}  // namespace

std::optional<Address> peer_of(const Socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return address_of(error, endpoint);
}

std::optional<Address> own_of(const Socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.local_endpoint(error);
  return address_of(error, endpoint);
}

}  // namespace lafs::ftp
