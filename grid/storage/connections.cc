// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/connections.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <poll.h>

#include "grid/base/base32.h"
#include "grid/base/process_metrics.h"
#include "grid/base/version.h"

namespace lafs::grid::storage {

namespace {

constexpr auto addresses_are_good_for = std::chrono::minutes(1);
constexpr std::uint64_t error_body_limit = 16 << 10;

// Keeps a connection on the list of those that close() cuts.
template <class T>
class Listed {
 public:
  Listed(std::list<T*>& list, T* item) : list_(list), place_(list.insert(list.end(), item)) {}
  ~Listed() { list_.erase(place_); }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

 private:
  std::list<T*>& list_;
  typename std::list<T*>::iterator place_;
};

}  // namespace

RemoteServer::Connections::Connections(asio::any_io_executor executor, Nurl nurl, Options options)
    : executor_(executor),
      nurl_(std::move(nurl)),
      options_(std::move(options)),
      tls_(nurl_.pin),
      gate_(executor) {
  const bool v6 = nurl_.host.find(':') != std::string::npos;
  const auto host = fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), nurl_.host, nurl_.port);
  name_ = options_.name.empty() ? host : options_.name;
  common_headers_ =
      fmt::format("Host: {}\r\nAuthorization: Tahoe-LAFS {}\r\nAccept: application/cbor\r\n", host,
                  base64(as_bytes(nurl_.swissnum)));
  options_.max_connections = std::max<std::size_t>(1, options_.max_connections);
  places_.push_back({nurl_.host, nurl_.port});
  for (const auto& other : options_.also_at) places_.push_back({other.host, other.port});
}

namespace {

// Of all servers together: names of servers come from outside, and would make figures without end.
struct Figures {
  metrics::Registry& all = metrics::of_process();
  metrics::Counter& sent = all.counter("lafs_client_sent_bytes_total", "Bodies sent to servers.");
  metrics::Counter& received =
      all.counter("lafs_client_received_bytes_total", "Bodies received from servers.");
  metrics::Histogram& seconds =
      all.histogram("lafs_client_request_seconds", "How long requests to storage servers took.",
                    metrics::latency_bounds());
  metrics::Counter& answers(unsigned status) {
    const char* text = status < 300 ? "2xx" : status < 500 ? "4xx" : "5xx";
    return all.counter("lafs_client_answers_total", "Answers of storage servers.",
                       {{"status", text}});
  }
  metrics::Counter& errors(Errc code) {
    return all.counter("lafs_client_errors_total", "Requests without an answer.",
                       {{"error", std::string(name_of(code))}});
  }
};

Figures& figures() {
  static Figures out;
  return out;
}

constexpr std::string_view report_header = "X-Lafs-Report: ";

}  // namespace

Task<Result<HttpAnswer>> RemoteServer::Connections::exchange(HttpRequest request) {
  const auto begin = Clock::now();
  figures().sent.add(request.body.size());
  auto answer = co_await try_exchange(std::move(request));
  if (answer) {
    const std::chrono::duration<double> took = Clock::now() - begin;
    figures().seconds.observe(took.count());
    figures().answers(answer->status).add();
    figures().received.add(answer->body.size());
    if (answer->status >= 500) ++errors_[Errc::refused];
  } else if (answer.error().code != Errc::cancelled && answer.error().code != Errc::closed) {
    figures().errors(answer.error().code).add();
    ++errors_[answer.error().code];
  }
  co_return answer;
}

// "X-Lafs-Report: lafs/0.1.0 timed_out=2 unreachable=1"
std::string RemoteServer::Connections::report() const {
  if (!options_.reports) return {};
  std::string out(report_header);
  out += program_version;
  for (const auto& [code, count] : errors_)
    out += " " + std::string(name_of(code)) + "=" + std::to_string(count);
  return out + "\r\n";
}

void RemoteServer::Connections::reported(const std::string& line) {
  // What was met while the report was on its way is for the next one.
  if (line == report()) errors_.clear();
}

Task<Result<HttpAnswer>> RemoteServer::Connections::try_exchange(HttpRequest request) {
  const auto pass = gate_.enter();
  if (!pass) co_return fail(Errc::closed, name_);
  for (int attempt = 0;; ++attempt) {
    auto slot = co_await claim();
    if (!slot) {
      auto error = co_await explain(slot.error());
      co_return std::unexpected(std::move(error));
    }
    std::unique_ptr<Connection> connection;
    if (attempt == 0) connection = take_idle();
    const bool reused = connection != nullptr;
    if (!reused) {
      auto fresh = co_await connect();
      if (!fresh) {
        auto error = co_await explain(fresh.error());
        co_return std::unexpected(std::move(error));
      }
      connection = std::move(*fresh);
    }
    bool answered = false;
    auto answer = co_await perform(*connection, request, answered);
    if (answer) {
      if (connection->reusable && !closing_) {
        connection->last_used = Clock::now();
        tcp_of(connection->stream).expires_never();
        idle_.push_back(std::move(connection));
      }
      answer->repeated = attempt > 0;
      co_return answer;
    }
    auto error = co_await explain(answer.error());
    // The server dropped the kept connection while our request was on its way.
    const bool again = reused && !answered && request.repeatable && error.code == Errc::unreachable;
    if (!again) co_return std::unexpected(std::move(error));
  }
}

Task<Error> RemoteServer::Connections::explain(Error error) {
  if (closing_) co_return Error{Errc::closed, name_};
  const bool stop = co_await stop_requested();
  if (stop) co_return Error{Errc::cancelled, name_};
  // A cut that nobody asked for.
  if (error.code == Errc::cancelled) error.code = Errc::unreachable;
  co_return annotate(std::move(error), name_).error();
}

Task<Result<RemoteServer::Connections::Slot>> RemoteServer::Connections::claim() {
  const auto deadline = Clock::now() + options_.queue_timeout;
  bool stop = co_await stop_requested();
  if (stop || closing_) co_return fail(Errc::cancelled);
  if (in_use_ < options_.max_connections) {
    ++in_use_;
    co_return Slot(*this);
  }
  Waiter me(executor_);
  waiting_.push_back(&me);
  while (!me.has_it && !stop && !closing_ && Clock::now() < deadline) {
    co_await me.woken.wait(deadline);
    stop = co_await stop_requested();
  }
  std::optional<Slot> slot;
  if (me.has_it)
    slot.emplace(*this);
  else
    waiting_.remove(&me);
  if (stop || closing_) co_return fail(Errc::cancelled);
  if (!slot) co_return fail(Errc::timed_out, "all connections are in use");
  co_return std::move(*slot);
}

// To the one who has waited for longest.
void RemoteServer::Connections::release() {
  if (waiting_.empty()) {
    --in_use_;
    return;
  }
  auto* next = waiting_.front();
  waiting_.pop_front();
  next->has_it = true;
  next->woken.notify();
}

std::unique_ptr<RemoteServer::Connections::Connection> RemoteServer::Connections::take_idle() {
  const auto oldest = Clock::now() - options_.idle_timeout;
  std::erase_if(idle_, [&](const auto& c) { return c->last_used < oldest; });
  while (!idle_.empty()) {
    // The one used last: the others get the chance to become old.
    auto c = std::move(idle_.back());
    idle_.pop_back();
    // A kept connection has nothing to say: if there is something, it is the server's good-bye.
    pollfd look{tcp_of(c->stream).socket().native_handle(), POLLIN, 0};
    if (c->buffer.size() == 0 && ::poll(&look, 1, 0) == 0) return c;
  }
  return nullptr;
}

struct RemoteServer::Connections::Race {
  std::unique_ptr<Connection> winner;
  std::optional<Error> error;
};

Task<Result<std::unique_ptr<RemoteServer::Connections::Connection>>>
RemoteServer::Connections::connect() {
  if (nurl_.tor) co_return fail(Errc::unsupported, "servers behind Tor");
  if (places_.size() == 1) co_return co_await connect_to(0);
  Race race;
  TaskGroup runners(executor_);
  const auto first = last_good_;
  for (std::size_t i = 0; i < places_.size() && !race.winner; ++i) {
    const bool stop = co_await stop_requested();
    if (stop) break;
    runners.spawn(run_for((first + i) % places_.size(), race));
    co_await runners.wait_one(Clock::now() + options_.head_start);
  }
  while (!race.winner && runners.running() > 0) co_await runners.wait_one();
  runners.cancel();
  co_await runners.join();
  if (race.winner) co_return std::move(race.winner);
  co_return std::unexpected(race.error.value_or(Error{Errc::cancelled, {}}));
}

Task<> RemoteServer::Connections::run_for(std::size_t place, Race& race) {
  auto made = co_await connect_to(place);
  if (made && !race.winner) {
    race.winner = std::move(*made);
    last_good_ = place;
  }
  // Somebody else's key at one place says little about the server when others stay silent.
  const bool says_more = !race.error || race.error->code == Errc::wrong_certificate;
  if (!made && says_more)
    race.error = annotate(std::move(made.error()), places_[place].host).error();
}

Task<Result<std::unique_ptr<RemoteServer::Connections::Connection>>>
RemoteServer::Connections::connect_to(std::size_t place) {
  auto c = std::make_unique<Connection>(
      TlsStream(beast::tcp_stream(executor_), SSL_new(tls_.context())));
  const Listed listed(active_, c.get());
  auto done =
      co_await within(options_.connect_timeout, "connecting", establish(*c, places_[place]));
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return c;
}

Task<Result<>> RemoteServer::Connections::establish(Connection& c, Place& at) {
  CO_TRY(endpoints, co_await resolve(at));
  if (closing_) co_return fail(Errc::closed);
  auto& tcp = tcp_of(c.stream);
  tcp.expires_after(options_.connect_timeout);
  auto [refused, endpoint] = co_await tcp.async_connect(endpoints, quietly);
  if (refused == beast::error::timeout) co_return fail(Errc::timed_out, "connecting");
  if (refused) {
    at.endpoints.clear();  // the name may lead elsewhere by now
    co_return fail(Errc::unreachable, refused.message());
  }
  beast::error_code ignored;
  tcp.socket().set_option(Tcp::no_delay(true), ignored);
  tls_.resume(c.stream.native_handle());
  auto [failed] = co_await c.stream.async_handshake(asio::ssl::stream_base::client, quietly);
  if (failed == beast::error::timeout) co_return fail(Errc::timed_out, "TLS handshake");
  if (failed) {
    if (ClientTls::refused_certificate(c.stream.native_handle())) {
      co_return fail(Errc::wrong_certificate, "its key is not the one its address names");
    }
    co_return fail(Errc::unreachable, "TLS: " + failed.message());
  }
  co_return Result<>{};
}

Task<Result<std::vector<asio::ip::tcp::endpoint>>> RemoteServer::Connections::resolve(Place& at) {
  beast::error_code error;
  const auto literal = asio::ip::make_address(at.host, error);
  if (!error) co_return std::vector{Tcp::endpoint(literal, at.port)};
  if (!at.endpoints.empty() && Clock::now() - at.resolved_at < addresses_are_good_for) {
    co_return at.endpoints;
  }
  Tcp::resolver resolver(executor_);
  auto [failed, found] = co_await resolver.async_resolve(at.host, std::to_string(at.port), quietly);
  if (failed) co_return fail(Errc::unreachable, "looking up its address: " + failed.message());
  at.endpoints.clear();
  for (const auto& entry : found) at.endpoints.push_back(entry.endpoint());
  at.resolved_at = Clock::now();
  co_return at.endpoints;
}

Task<Result<HttpAnswer>> RemoteServer::Connections::perform(Connection& c,
                                                            const HttpRequest& request,
                                                            bool& answered) {
  const Listed listed(active_, &c);
  c.reusable = false;
  if (closing_) co_return fail(Errc::closed);
  CO_TRY_DO(co_await send(c.stream, request.head, request.body, options_.progress_timeout));

  tcp_of(c.stream).expires_after(options_.reply_timeout);
  std::optional<ReplyParser> parser;
  // Interim replies (1xx) are skipped; we ask for none.
  for (int interim = 0; !parser || parser->get().result_int() < 200; ++interim) {
    if (interim == 4) co_return fail(Errc::protocol, "only interim replies");
    parser.emplace();
    parser->header_limit(largest_head);
    parser->body_limit(boost::none);
    auto [error, n] = co_await http::async_read_header(c.stream, c.buffer, *parser, quietly);
    answered = answered || parser->got_some();
    if (error == beast::error::timeout) co_return fail(Errc::timed_out, "no reply");
    if (error) co_return std::unexpected(network_error(error));
  }

  const auto& message = parser->get();
  HttpAnswer answer;
  answer.status = message.result_int();
  answer.content_type = message[http::field::content_type];
  answer.content_range = message[http::field::content_range];
  answer.date = message[http::field::date];
  const bool good = answer.status >= 200 && answer.status < 300;
  BodyReader<false> reader(c.stream, c.buffer, *parser, options_.progress_timeout);
  auto body = co_await read_body(reader, good ? request.reply_limit : error_body_limit);
  if (body) {
    answer.body = std::move(*body);
    c.reusable = message.keep_alive() && !message.need_eof();
  } else if (good) {
    co_return std::unexpected(std::move(body).error());
  }
  co_return answer;
}

Task<> RemoteServer::Connections::close() {
  // Those inside find their sockets closed, or notice at their next step.
  closing_ = true;
  for (auto* c : active_) tcp_of(c->stream).close();
  for (auto* waiter : waiting_) waiter->woken.notify();
  co_await gate_.close();
  idle_.clear();
}

}  // namespace lafs::grid::storage
