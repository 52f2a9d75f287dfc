// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/session.h"
#include <netinet/tcp.h>

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontends/ftp/convert.h"
#include "frontends/ftp/upload.h"
#include "grid/base/log.h"

namespace lafs::ftp {

namespace {

constexpr std::size_t control_buffer = 4096;
// Lines that a client may send ahead of their replies, in bytes; then it has to wait.
constexpr std::size_t ahead_max = 64 * 1024;

Control::Options control_options(const Shared& shared, const Address& peer, const Address& own,
                                 bool implicit_tls) {
  Control::Options out;
  out.tls = shared.tls.has_value();
  out.implicit_tls = implicit_tls;
  out.plain = shared.options.plain || peer.is_loopback();
  out.active = shared.options.active;
  out.peer = peer;
  out.own = own;
  out.idle_limit = shared.options.idle_limit;
  out.banner = shared.options.banner;
  return out;
}

// A slow close can take minutes in which nothing is said here: the routers between us must not
// forget this connection meanwhile, and a client that vanished must be found out.
void keep_alive(Socket& socket) {
  const int on = 1, idle = 20, interval = 20, count = 6;
  const int fd = socket.native_handle();
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);  // the Telnet Synch before ABOR
}

}  // namespace

Session::Session(Shared& shared, Socket socket, const Address& peer, const Address& own,
                 bool implicit_tls)
    : shared_(shared),
      peer_(peer),
      own_(own),
      id_(fresh_control_id()),
      stream_(std::move(socket), control_buffer),
      writing_(shared.executor, 1),
      control_(control_options(shared, peer, own, implicit_tls)),
      transfers_(shared.executor),
      moving_(shared.executor),
      began_(Clock::now()),
      idle_since_(began_) {
  keep_alive(stream_.socket());
}

Session::~Session() = default;

fs::Caller Session::caller() const {
  return {static_cast<std::uint32_t>(::getuid()), static_cast<std::uint32_t>(::getgid())};
}

Reply Session::failed(const Error& error, const std::string& path, bool making_a_name) {
  if (wants_log(error.code))
    log::warning("ftp: " + control_.account() + ": " + path + ": " + error.message());
  return reply_to(error, making_a_name);
}

Task<> Session::reply(Reply what) {
  auto turn = co_await writing_.acquire();
  const auto wire = what.wire();
  auto done = co_await stream_.write(as_bytes(wire));
  if (!done) stream_.close();
}

Task<> Session::say(int code, std::string_view text) {
  Reply what{code, std::string(text)};
  co_await reply(std::move(what));
}

void Session::end(Reply why) {
  if (ending_) return;
  ending_ = std::move(why);
  boost::system::error_code ignored;
  if (stream_.is_open()) stream_.socket().cancel(ignored);
  if (data_) data_->close();
  if (passive_) passive_->close();
}

void Session::look(TimePoint now) {
  const auto& limits = shared_.options;
  if (stream_.writing_since() != TimePoint::max() &&
      now - stream_.writing_since() > limits.reply_limit) {
    stream_.close();
    end({421, "Timeout."});
  }
  if (data_ && data_->waiting_since() != TimePoint::max() &&
      now - data_->waiting_since() > limits.data_limit) {
    stalled_ = true;
    data_->close();
  }
  if (!control_.is_logged_in() && now - began_ > limits.login_limit) {
    end({421, "Login took too long."});
    return;
  }
  const auto idle_limit = std::chrono::seconds(control_.idle_limit());
  if (!working_ && !transfers_.running() && now - idle_since_ > idle_limit) end({421, "Timeout."});
}

Task<std::optional<LineReader::Line>> Session::next_line() {
  for (;;) {
    if (ending_) co_return std::nullopt;
    if (auto line = lines_.next()) co_return line;
    if (hung_up_) co_return std::nullopt;
    std::uint8_t bytes[2048];
    auto n = co_await stream_.read(bytes);
    if (!n || *n == 0) {
      hung_up_ = true;
      continue;
    }
    lines_.add(as_text({bytes, *n}));
    if (lines_.waiting() > ahead_max) hung_up_ = true;
  }
}

Task<bool> Session::start_tls() {
  auto tls = shared_.tls->accept(id_, true);
  auto done = co_await within(shared_.options.login_limit, "TLS handshake",
                              stream_.start_tls(std::move(tls)));
  if (!done) {
    log::info("ftp: " + peer_.text() + ": " + done.error().message());
    co_return false;
  }
  remember_control(stream_.tls(), id_);
  co_return true;
}

Task<> Session::run() {
  co_await serve();
  if (ending_) co_await reply(*ending_);
  if (data_) data_->close();
  if (passive_) passive_->close();
  moving_.cancel();
  co_await transfers_.join();
  co_await stream_.finish();
  stream_.close();
  if (control_.is_logged_in())
    log::info("ftp logout: account \"" + control_.account() + "\" from " + peer_.text());
}

Task<> Session::serve() {
  if (!shared_.login.may_connect(peer_.text())) {
    co_await say(421, "Too many failed logins from your address; try again later.");
    co_return;
  }
  if (control_.is_protected()) {
    const bool secure = co_await start_tls();
    if (!secure) co_return;
  }
  co_await reply(control_.greeting());
  for (;;) {
    auto line = co_await next_line();
    if (!line) break;
    auto command = parse_command(line->text);
    if (line->too_long) command = {};
    if (transfers_.running() && !facts_of(command.verb).during_transfer) {
      co_await transfers_.join();
      if (ending_) break;
    }
    working_ = true;
    auto step = line->too_long ? control_.too_long() : control_.command(command);
    const bool go_on = co_await carry_out(std::move(step));
    working_ = false;
    idle_since_ = Clock::now();
    if (!go_on) break;
  }
}

Task<bool> Session::carry_out(Step step) {
  switch (step.what) {
    case Do::reply:
      co_await reply(std::move(step.reply));
      co_return true;
    case Do::quit:
      quitting_ = true;
      co_await transfers_.join();
      co_await reply(std::move(step.reply));
      co_return false;
    case Do::start_tls: {
      co_await reply(std::move(step.reply));
      // Lines that came with AUTH came in the clear, from whomever.
      lines_.clear();
      const bool secure = co_await start_tls();
      if (secure) control_.tls_started();
      co_return secure;
    }
    case Do::log_in: {
      bool hang_up = false;
      co_await log_in(std::move(step.text), std::move(step.second), &hang_up);
      co_return !hang_up;
    }
    case Do::log_out:
      passive_.reset();
      files_.reset();
      co_await reply(std::move(step.reply));
      co_return true;
    case Do::passive:
    case Do::extended_passive: {
      auto answer = co_await listen_for_data(step.what == Do::extended_passive);
      co_await reply(std::move(answer));
      co_return true;
    }
    case Do::abort:
      co_await abort();
      co_return true;
    case Do::status: {
      Reply out{211, "FTP server status:", control_.status_lines(), "End of status"};
      if (transfers_.running())
        out.lines.push_back("Transfer in progress: " + std::to_string(moved_) + " bytes so far");
      co_await reply(std::move(out));
      co_return true;
    }
    case Do::list:
    case Do::names:
    case Do::machine_list:
    case Do::retrieve:
    case Do::store:
    case Do::append:
    case Do::store_unique:
    case Do::hash:
    case Do::digest:
      aborted_ = stalled_ = false;
      moved_ = 0;
      transfers_.spawn(transfer(std::move(step)));
      co_return true;
    default: {
      // STAT with a path is heard during a transfer; it walks beside it.
      auto answer = co_await on_file(std::move(step));
      co_await reply(std::move(answer));
      co_return true;
    }
  }
}

Task<> Session::abort() {
  if (!transfers_.running()) {
    passive_.reset();
    control_.data_used();
    co_await say(225, "No transfer to ABOR.");
    co_return;
  }
  aborted_ = true;
  if (data_) data_->close();
  if (passive_) passive_->close();
  moving_.cancel();
  co_await transfers_.join();
  co_await say(226, "ABOR successful.");
}

Task<Reply> Session::listen_for_data(bool extended) {
  passive_.reset();
  auto port = PassivePort::open(shared_.executor, own_, shared_.options.passive_ports);
  if (!port) {
    log::warning("ftp: " + port.error().message());
    co_return Reply{421, "No data port is free; try again later."};
  }
  passive_ = std::move(*port);
  control_.listening();
  if (extended) co_return Reply{229, extended_passive_text(passive_->port())};
  // Who came by a private address did not come through the router that needs the other one.
  const auto& external = shared_.options.external;
  const bool outside = external && !external->v6 && !peer_.is_private();
  co_return Reply{227, passive_text({outside ? *external : own_, passive_->port()})};
}

Task<> Session::log_in(std::string user, std::string password, bool* hang_up) {
  std::optional<fs::Account> account;
  const auto& anonymous = shared_.options.anonymous;
  if (anonymous && (user == "anonymous" || user == "ftp")) {
    account = *anonymous;
    log::info("ftp login: anonymous from " + peer_.text());
  } else {
    fs::Login::Attempt attempt{"ftp", peer_.text(), user};
    if (!control_.virtual_host().empty()) {
      const auto at_host = user + "@" + control_.virtual_host();
      if (shared_.login.accounts()->find(at_host)) attempt.account = at_host;
    }
    auto found = co_await shared_.login.by_password(std::move(attempt), std::move(password));
    if (!found) {
      auto step = control_.login_refused(found.error().code == Errc::busy);
      *hang_up = step.what == Do::quit;
      co_await reply(std::move(step.reply));
      co_return;
    }
    account = std::move(*found);
  }
  auto root = co_await shared_.open_root(*account);
  if (!root) {
    log::error("ftp: the root of account \"" + account->name + "\": " + root.error().message());
    auto step = control_.login_refused(false);
    *hang_up = step.what == Do::quit;
    co_await say(530, "Login correct, but your directory cannot be reached now.");
    co_return;
  }
  files_ = std::move(*root);
  read_only_ = account->read_only;
  auto home = account->home;
  {
    auto there = co_await walker().real_path(home);
    auto node = co_await walker().node(home);
    const bool usable = there && node && node->is(fs::Kind::directory);
    home = usable ? *there : "/";
  }
  co_await reply(control_.logged_in(account->name, std::move(home), read_only_));
}

}  // namespace lafs::ftp
