// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/server.h"

#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "frontends/sftp/connection.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::sftp {
namespace {

using asio::ip::tcp;

constexpr auto quiet = asio::as_tuple(asio::use_awaitable);
constexpr auto look_again = std::chrono::milliseconds(100);
constexpr auto goodbye_limit = std::chrono::seconds(5);
// A peer that acknowledges nothing for so long is gone.
constexpr unsigned silence_limit_ms = 120'000;

// What today's clients speak; nothing of SHA-1, CBC or short Diffie-Hellman groups. libssh adds
// strict key exchange by itself.
constexpr const char* key_exchanges =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp521,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp256,diffie-hellman-group18-sha512,diffie-hellman-group16-sha512";
constexpr const char* ciphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,"
    "aes192-ctr,aes256-ctr";
constexpr const char* macs =
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";
constexpr const char* user_keys =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";

Result<tcp::endpoint> parse_address(std::string_view text) {
  const auto wrong = [&] {
    return fail(Errc::bad_argument,
                "\"" + std::string(text) + "\" is not ADDRESS:PORT (127.0.0.1:8022, [::]:8022)");
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos) return wrong();
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return wrong();
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty() || host == "*") host = "0.0.0.0";
  boost::system::error_code error;
  const auto address = asio::ip::make_address(std::string(host), error);
  if (error) return wrong();
  return tcp::endpoint(address, port);
}

std::string text_of(const tcp::endpoint& endpoint) {
  const auto host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
         std::to_string(endpoint.port());
}

std::size_t connections_of_process = 0;  // of all servers; I/O thread only

void set_socket_options(int socket) {
  const int one = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_limit_ms, sizeof silence_limit_ms);
}

}  // namespace

// libssh's idea of a listener: here only the keeper of keys and algorithms.
struct Server::Bind {
  Bind() : bind(ssh_bind_new()) {}
  ~Bind() { ssh_bind_free(bind); }
  ssh_bind bind;
};

struct Server::Acceptors {
  std::vector<tcp::acceptor> all;
};

Server::Server(asio::any_io_executor executor, Pool& pool, fs::Login& login, OpenRoot open_root,
               ServerOptions options)
    : executor_(executor),
      pool_(pool),
      login_(login),
      open_root_(std::move(open_root)),
      options_(std::move(options)),
      bind_(std::make_unique<Bind>()),
      acceptors_(std::make_unique<Acceptors>()),
      accepting_(executor),
      attending_(executor) {}

Server::~Server() = default;

std::size_t Server::connections() const { return connections_.size(); }

Result<> Server::start() {
  const auto set = [&](ssh_bind_options_e option, const void* value) {
    return ssh_bind_options_set(bind_->bind, option, value) == SSH_OK;
  };
  const bool no = false;
  const int rsa_bits = 2048;
  bool good = set(SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) &&
              set(SSH_BIND_OPTIONS_KEY_EXCHANGE, key_exchanges) &&
              set(SSH_BIND_OPTIONS_CIPHERS_C_S, ciphers) &&
              set(SSH_BIND_OPTIONS_CIPHERS_S_C, ciphers) && set(SSH_BIND_OPTIONS_HMAC_C_S, macs) &&
              set(SSH_BIND_OPTIONS_HMAC_S_C, macs) &&
              set(SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, user_keys) &&
              set(SSH_BIND_OPTIONS_RSA_MIN_SIZE, &rsa_bits) &&
              set(SSH_BIND_OPTIONS_BANNER, options_.banner.c_str());
  for (const auto& key : options_.host_keys)
    good = good && set(SSH_BIND_OPTIONS_HOSTKEY, key.file.c_str());
  if (!good)
    return fail(Errc::internal, std::string("setting up SSH: ") + ssh_get_error(bind_->bind));
  for (const auto& address : options_.addresses) {
    TRY(endpoint, parse_address(address));
    boost::system::error_code error;
    tcp::acceptor acceptor(executor_);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    // "[::]" is for both worlds.
    if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return fail(error == asio::error::address_in_use ? Errc::busy : Errc::bad_argument,
                  "listening on " + address + ": " + error.message());
    listening_.push_back(text_of(acceptor.local_endpoint()));
    acceptors_->all.push_back(std::move(acceptor));
  }
  for (std::size_t i = 0; i < acceptors_->all.size(); ++i) accepting_.spawn(accept(i));
  metrics::of_process().ask("lafs_sftp_connections", "SSH connections that are open.", {},
                            [] { return static_cast<double>(connections_of_process); });
  return {};
}

Task<> Server::accept(std::size_t number) {
  auto& acceptor = acceptors_->all[number];
  while (!stopping_) {
    tcp::endpoint peer;
    auto [error, socket] = co_await acceptor.async_accept(peer, quiet);
    const bool stop = co_await stop_requested();
    if (stop || error == asio::error::operation_aborted) co_return;
    if (error) {
      // No descriptors left, most likely: some will come back.
      log::warning("sftp: a connection could not be taken: " + error.message());
      co_await sleep_for(look_again);
      continue;
    }
    auto address = peer.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    const int fd = socket.release(error);
    if (!error) take(fd, address.to_string());
  }
}

bool Server::may_connect(const std::string& address) const {
  const auto count = [&](auto&& predicate) {
    return static_cast<std::size_t>(std::ranges::count_if(connections_, predicate));
  };
  return connections_.size() < options_.connections &&
         count([&](const auto& c) { return c->address() == address; }) <
             options_.connections_of_one_address &&
         count([](const auto& c) { return c->stranger(); }) < options_.strangers &&
         login_.may_connect(address);
}

void Server::take(int socket, const std::string& address) {
  if (!may_connect(address)) {
    log::info("sftp: no room for another connection from " + address);
    ::close(socket);
    return;
  }
  set_socket_options(socket);
  const int duplicate = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  ssh_session session = ssh_new();
  if (duplicate < 0 || !session || ssh_bind_accept_fd(bind_->bind, session, socket) != SSH_OK) {
    log::warning("sftp: a connection from " + address +
                 " could not be taken: " + ssh_get_error(bind_->bind));
    ssh_free(session);
    if (duplicate >= 0) ::close(duplicate);
    return;
  }
  attending_.spawn(
      attend(std::make_shared<Connection>(executor_, *this, session, duplicate, address)));
}

Task<> Server::attend(std::shared_ptr<Connection> connection) {
  const auto here = connections_.insert(connections_.end(), connection);
  ++connections_of_process;
  co_await connection->run();
  --connections_of_process;
  connections_.erase(here);
}

Task<> Server::stop(Duration grace) {
  stopping_ = true;
  boost::system::error_code ignored;
  for (auto& acceptor : acceptors_->all) acceptor.close(ignored);
  accepting_.cancel();
  co_await accepting_.join();
  const std::string reason = "The server is stopping";
  const auto by = Clock::now() + grace;
  while (!connections_.empty() && Clock::now() < by) {
    for (const auto& connection : connections_)
      if (connection->idle()) connection->stop(reason);
    co_await sleep_for(look_again);
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  for (const auto& connection : connections_) connection->stop(reason);
  const auto cut_at = Clock::now() + goodbye_limit;
  while (!connections_.empty() && Clock::now() < cut_at) {
    co_await sleep_for(look_again);
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  for (const auto& connection : connections_) connection->cut();
  co_await attending_.join();
}

}  // namespace lafs::sftp
