// SPDX-License-Identifier: Apache-2.0
#include "grid/server/peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

namespace lafs::grid::storage {

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
// One call of read(2) then brings several TLS records.
constexpr std::size_t tls_read_ahead = 64 << 10;
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::size_t most_lingering = 8 << 20;

std::unexpected<Error> broken(int error) {
  return fail(Errc::unreachable, error ? std::strerror(error) : "the connection broke");
}
std::unexpected<Error> over() { return fail(Errc::closed, "the peer has ended the connection"); }

}  // namespace

Peer::Peer(Socket socket, SSL_CTX* tls) : socket_(std::move(socket)) {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  if (!tls) return;
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, socket_.native_handle());
  SSL_set_accept_state(ssl_);
  SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                         SSL_MODE_RELEASE_BUFFERS);
  SSL_set_read_ahead(ssl_, 1);
  SSL_set_default_read_buffer_len(ssl_, tls_read_ahead);
}

Peer::~Peer() { SSL_free(ssl_); }

Result<Peer::Want> Peer::what_now(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return Want::read;
    case SSL_ERROR_WANT_WRITE:
      return Want::write;
    case SSL_ERROR_ZERO_RETURN:
      return over();
    case SSL_ERROR_SYSCALL:
      return broken(errno);
    default:
      // A client that hangs up without a word is not worth telling from one that says goodbye.
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return over();
      return fail(Errc::unreachable, "TLS failed");
  }
}

Task<Result<>> Peer::wait(Want want) {
  if (closed_) co_return fail(Errc::cancelled);
  if (late_) co_return fail(Errc::timed_out, "no progress");
  waiting_ = true;
  const auto type = want == Want::read ? Socket::wait_read : Socket::wait_write;
  auto [error] = co_await socket_.async_wait(type, quietly);
  waiting_ = false;
  if (late_) co_return fail(Errc::timed_out, "no progress");
  if (error) {
    co_return fail(error == asio::error::operation_aborted ? Errc::cancelled : Errc::unreachable,
                   error.message());
  }
  co_return Result<>{};
}

void Peer::check_deadline(TimePoint now) {
  if (!waiting_ || late_ || now < deadline_) return;
  late_ = true;
  interrupt();
}

void Peer::interrupt() {
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

Task<Result<>> Peer::handshake() {
  if (!ssl_) co_return Result<>{};
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) co_return Result<>{};
    CO_TRY(want, what_now(done));
    CO_TRY_DO(co_await wait(want));
  }
}

Task<Result<std::size_t>> Peer::read_some(MutableBytes to) {
  while (true) {
    if (closed_) co_return fail(Errc::cancelled);
    Want want = Want::read;
    if (ssl_) {
      std::size_t n = 0;
      ERR_clear_error();
      const int done = SSL_read_ex(ssl_, to.data(), to.size(), &n);
      if (done == 1) co_return n;
      CO_TRY(wanted, what_now(done));
      want = wanted;
    } else {
      const auto n = ::recv(socket_.native_handle(), to.data(), to.size(), 0);
      if (n > 0) co_return static_cast<std::size_t>(n);
      if (n == 0) co_return over();
      if (errno != EAGAIN && errno != EINTR) co_return broken(errno);
    }
    CO_TRY_DO(co_await wait(want));
  }
}

Task<Result<>> Peer::write(ByteView data) {
  while (!data.empty()) {
    if (closed_) co_return fail(Errc::cancelled);
    Want want = Want::write;
    if (ssl_) {
      std::size_t n = 0;
      ERR_clear_error();
      const int done = SSL_write_ex(ssl_, data.data(), data.size(), &n);
      if (done == 1) {
        data = data.subspan(n);
        continue;
      }
      CO_TRY(wanted, what_now(done));
      want = wanted;
    } else {
      const auto n = ::send(socket_.native_handle(), data.data(), data.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        data = data.subspan(static_cast<std::size_t>(n));
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) co_return broken(errno);
    }
    CO_TRY_DO(co_await wait(want));
  }
  co_return Result<>{};
}

Task<Result<>> Peer::wait_readable() {
  if (ssl_ && SSL_has_pending(ssl_)) co_return Result<>{};
  co_return co_await wait(Want::read);
}

Task<Result<std::size_t>> Peer::peek(MutableBytes to) {
  std::size_t before = 0;
  while (true) {
    const auto n = ::recv(socket_.native_handle(), to.data(), to.size(), MSG_PEEK);
    if (n < 0 && errno != EAGAIN && errno != EINTR) co_return broken(errno);
    const auto have = n > 0 ? static_cast<std::size_t>(n) : 0;
    if (n == 0 || have == to.size()) co_return have;
    // What stays unread keeps the socket readable: a peer that sends byte by byte is polled.
    if (have > 0 && have == before) {
      co_await sleep_for(std::chrono::milliseconds(20));
      if (Clock::now() >= deadline_) co_return fail(Errc::timed_out, "no progress");
      if (closed_) co_return fail(Errc::cancelled);
      const bool stop = co_await stop_requested();
      if (stop) co_return fail(Errc::cancelled);
      continue;
    }
    before = have;
    if (have == 0) CO_TRY_DO(co_await wait(Want::read));
  }
}

Task<> Peer::turn_away(std::string_view text) {
  (void)::send(socket_.native_handle(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  co_await linger();
}

Task<> Peer::linger() {
  if (closed_) co_return;
  ::shutdown(socket_.native_handle(), SHUT_WR);
  set_deadline(linger_time);
  Bytes nowhere(16 << 10);
  for (std::size_t gone = 0; gone < most_lingering;) {
    const auto n = ::recv(socket_.native_handle(), nowhere.data(), nowhere.size(), 0);
    if (n > 0) {
      gone += static_cast<std::size_t>(n);
      continue;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) co_return;
    const auto more = co_await wait(Want::read);
    if (!more) co_return;
  }
}

void Peer::end() {
  if (!ssl_ || closed_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

void Peer::close() {
  closed_ = true;
  ::shutdown(socket_.native_handle(), SHUT_RDWR);
  interrupt();
}

}  // namespace lafs::grid::storage
