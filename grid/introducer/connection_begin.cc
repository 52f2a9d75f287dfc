// SPDX-License-Identifier: Apache-2.0

// How connections begin: a place is reached, TLS asked for, and who decides negotiated
// (spec/storage 9.1).

#include <openssl/ssl.h>

#include "grid/introducer/connection_state.h"
#include "grid/introducer/dial.h"

namespace lafs::grid::introducer {

namespace beast = storage::beast;
using storage::quietly;
using storage::TlsStream;
using Tcp = asio::ip::tcp;

namespace {
// A place that accepts and says nothing must not use up the time of the others.
constexpr auto time_for_one_of_many = std::chrono::seconds(15);
}  // namespace

Task<Result<std::string>> Connection::State::read_block() {
  while (true) {
    if (const auto end = unread.find("\r\n\r\n"); end != unread.npos) {
      auto block = unread.substr(0, end + 4);
      unread.erase(0, end + 4);
      co_return block;
    }
    if (unread.size() > largest_block)
      co_return fail(Errc::protocol, "Foolscap: no end of a block");
    std::array<char, 2048> some;
    auto [error, n] = co_await stream.async_read_some(asio::buffer(some), quietly);
    if (error) co_return std::unexpected(network_error(error, "negotiating"));
    unread.append(some.data(), n);
  }
}

Task<Result<>> Connection::State::negotiate(const storage::Identity& identity,
                                            std::string expected_tub, ConnectionLedger* counting) {
  const auto tub = storage::peer_tub_id(stream.native_handle());
  if (!tub) co_return fail(Errc::wrong_certificate, "the peer showed no certificate");
  if (!expected_tub.empty() && *tub != expected_tub)
    co_return fail(Errc::wrong_certificate, "the peer is " + *tub + ", not " + expected_tub);
  peer_tub = *tub;
  const auto incarnation = counting ? counting->own_incarnation() : fresh_incarnation();
  Negotiation talk(identity.tub_id(), peer_tub, incarnation, counting == nullptr);
  auto hello = talk.hello();
  auto [error, sent] = co_await asio::async_write(stream, asio::buffer(hello), quietly);
  if (error) co_return std::unexpected(network_error(error, "negotiating"));
  CO_TRY(heard, co_await read_block());
  CO_TRY(block, parse_block(heard));
  CO_TRY_DO(talk.heard_hello(block));
  if (!talk.master()) {
    CO_TRY(decided, co_await read_block());
    CO_TRY(decision, parse_block(decided));
    co_return talk.heard_decision(decision);
  }
  std::uint64_t number = 1;
  if (counting) {
    auto admitted = counting->admit(peer_tub, talk.peer_incarnation(), talk.peer_last());
    if (!admitted) {
      auto why = error_block(admitted.error().context);
      co_await asio::async_write(stream, asio::buffer(why), quietly);
      co_return std::unexpected(std::move(admitted.error()));
    }
    number = *admitted;
    ledger = counting;
    ledger_number = number;
  }
  auto decision = talk.decision(number);
  auto [failed, n] = co_await asio::async_write(stream, asio::buffer(decision), quietly);
  if (failed) co_return std::unexpected(network_error(failed, "negotiating"));
  co_return Result<>{};
}

namespace {

// Reads a plaintext head up to its blank line. The peer says nothing behind it before TLS begins.
Task<Result<std::string>> read_head(beast::tcp_stream& stream) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    if (head.size() > largest_block) co_return fail(Errc::protocol, "Foolscap: no end of a head");
    char c = 0;
    auto [error, n] = co_await stream.async_read_some(asio::buffer(&c, 1), quietly);
    if (error) co_return std::unexpected(network_error(error, "asking for TLS"));
    head.push_back(c);
  }
  co_return head;
}

}  // namespace

Task<Result<std::unique_ptr<Connection>>> Connection::connect(asio::any_io_executor executor,
                                                              const storage::Identity& identity,
                                                              storage::Furl furl, Duration limit) {
  const auto talk = [](asio::any_io_executor on, const storage::Identity& own, Dial::Reached place,
                       std::string wanted) -> Task<Result<std::unique_ptr<Connection>>> {
    beast::error_code ignored;
    place.tcp.socket().set_option(Tcp::no_delay(true), ignored);
    auto request = upgrade_request(wanted, place.host);
    auto [error, n] = co_await asio::async_write(place.tcp, asio::buffer(request), quietly);
    if (error) co_return std::unexpected(network_error(error, "asking for TLS"));
    CO_TRY(head, co_await read_head(place.tcp));
    CO_TRY_DO(check_upgrade(head));
    auto context = storage::mutual_tls(own, false);
    auto* ssl = SSL_new(context.get());
    auto state = std::make_unique<State>(on, TlsStream(std::move(place.tcp), ssl));
    state->tls = std::move(context);
    auto [refused] =
        co_await state->stream.async_handshake(asio::ssl::stream_base::client, quietly);
    if (refused) co_return std::unexpected(network_error(refused, "TLS"));
    CO_TRY_DO(co_await state->negotiate(own, wanted, nullptr));
    co_return std::unique_ptr<Connection>(new Connection(std::move(state)));
  };
  const auto tub = base32(furl.tub_id);
  const auto deadline = Clock::now() + limit;
  Dial dial(executor, furl.hints);
  Result<std::unique_ptr<Connection>> out = fail(Errc::unreachable);
  std::optional<Error> why;
  while (true) {
    auto reached = co_await dial.next(deadline);
    if (!reached) {
      // What a peer said tells more than that another place is silent.
      out = std::unexpected(why ? std::move(*why) : std::move(reached.error()));
      break;
    }
    const auto left = deadline - Clock::now();
    const auto patience = dial.more() ? std::min<Duration>(left, time_for_one_of_many) : left;
    auto what = "negotiating with " + reached->host;
    auto task = talk(executor, identity, std::move(*reached), tub);
    out = co_await within(patience, std::move(what), std::move(task));
    if (out) break;
    why = std::move(out.error());
  }
  co_await dial.close();
  co_return out;
}

Task<Result<std::unique_ptr<Connection>>> Connection::accept(asio::any_io_executor executor,
                                                             const storage::Identity& identity,
                                                             ConnectionLedger& ledger, int fd,
                                                             Duration limit) {
  Tcp::socket socket(executor);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  beast::error_code error;
  socket.assign(address.ss_family == AF_INET6 ? Tcp::v6() : Tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    co_return std::unexpected(network_error(error, "accepting"));
  }
  socket.set_option(Tcp::no_delay(true), error);
  const auto talk = [](asio::any_io_executor on, const storage::Identity& own,
                       ConnectionLedger& counting,
                       beast::tcp_stream tcp) -> Task<Result<std::unique_ptr<Connection>>> {
    CO_TRY(head, co_await read_head(tcp));
    auto wanted = requested_tub(head);
    std::string reply(upgrade_answer);
    if (!wanted) reply = upgrade_refusal(wanted.error().context);
    if (wanted && *wanted != own.tub_id()) {
      reply = upgrade_refusal("unknown TubID " + wanted->substr(0, 64));
      wanted = fail(Errc::not_found, "a request for another tub");
    }
    auto [failed, n] = co_await asio::async_write(tcp, asio::buffer(reply), quietly);
    if (!wanted) co_return std::unexpected(std::move(wanted.error()));
    if (failed) co_return std::unexpected(network_error(failed, "answering"));
    auto context = storage::mutual_tls(own, true);
    auto* ssl = SSL_new(context.get());
    auto state = std::make_unique<State>(on, TlsStream(std::move(tcp), ssl));
    state->tls = std::move(context);
    auto [refused] =
        co_await state->stream.async_handshake(asio::ssl::stream_base::server, quietly);
    if (refused) co_return std::unexpected(network_error(refused, "TLS"));
    CO_TRY_DO(co_await state->negotiate(own, {}, &counting));
    co_return std::unique_ptr<Connection>(new Connection(std::move(state)));
  };
  auto task = talk(executor, identity, ledger, beast::tcp_stream(std::move(socket)));
  co_return co_await within(limit, "a peer's negotiation", std::move(task));
}

}  // namespace lafs::grid::introducer
