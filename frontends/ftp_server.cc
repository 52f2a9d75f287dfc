// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp_server.h"

#include <unistd.h>

#include <cstdio>

#include "frontends/ftp/service.h"
#include "frontends/served_root.h"
#include "grid/base/log.h"
#include "grid/storage_node.h"

namespace lafs {

namespace {

constexpr const char* default_address = "127.0.0.1:8021";

// One view for all sessions that see the same directory in the same way.
class Roots {
 public:
  Roots(Drive& drive, bool read_only, fs::GridFs::Durability durability)
      : drive_(drive), read_only_(read_only), durability_(durability) {}

  Task<Result<std::shared_ptr<fs::Filesystem>>> open(fs::Account account) {
    if (read_only_) account.read_only = true;
    const auto key = std::tuple(account.root, account.read_only, account.quota);
    if (auto it = views_.find(key); it != views_.end()) co_return it->second;
    auto options = served_root(drive_, account, durability_);
    CO_TRY(view, co_await drive_.root(account.root, std::move(options)));
    views_[key] = view;
    co_return view;
  }

 private:
  Drive& drive_;
  bool read_only_;
  fs::GridFs::Durability durability_;
  std::map<std::tuple<std::string, bool, std::optional<std::uint64_t>>, std::shared_ptr<fs::View>>
      views_;
};

Result<ftp::PortRange> parse_ports(const std::string& text) {
  unsigned first = 0, last = 0;
  char more = 0;
  const int read = std::sscanf(text.c_str(), "%5u-%5u%c", &first, &last, &more);
  if (read == 1) last = first;
  if (read < 1 || read > 2 || first == 0 || last < first || last > 65535)
    return fail(Errc::bad_argument, "passive ports are FIRST-LAST, not " + text);
  return ftp::PortRange{static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
}

Result<ftp::Options> service_options(const FtpSettings& settings) {
  ftp::Options out;
  out.plain = settings.allow_plain;
  out.active = !settings.no_active;
  out.require_resumed = settings.require_resumed;
  out.require_close_notify = settings.require_close_notify;
  out.sessions = settings.sessions.value_or(1000);
  out.sessions_of_address = settings.sessions_of_address;
  out.idle_limit = settings.idle_limit.value_or(300);
  if (!settings.passive_ports.empty()) {
    TRY(ports, parse_ports(settings.passive_ports));
    out.passive_ports = ports;
  }
  if (!settings.external_address.empty()) {
    out.external = ftp::Address::parse(settings.external_address);
    if (!out.external || out.external->v6)
      return fail(Errc::bad_argument,
                  "the external address is an IPv4 address, not " + settings.external_address);
  }
  if (!settings.anonymous.empty()) {
    fs::Account anonymous;
    anonymous.name = "anonymous";
    anonymous.root = settings.anonymous;
    anonymous.read_only = true;
    out.anonymous = std::move(anonymous);
  }
  return out;
}

Result<std::optional<ftp::Tls>> open_tls(const FtpSettings& settings, const grid::NodeDir& node) {
  if (settings.no_tls) return std::nullopt;
  if (!settings.certificate.empty()) {
    const auto& key = settings.key.empty() ? settings.certificate : settings.key;
    TRY(tls, ftp::Tls::load(settings.certificate, key));
    return std::optional<ftp::Tls>(std::move(tls));
  }
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  TRY(tls, ftp::Tls::load_or_create(node.private_path("ftp.pem"), host));
  return std::optional<ftp::Tls>(std::move(tls));
}

Task<Result<std::string>> listen_at(ftp::Service& service, std::string text, bool implicit) {
  CO_TRY(at, grid::Endpoint::parse(text));
  auto host = at.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  CO_TRY(port, co_await service.listen(host, at.port, implicit));
  const bool v6 = host.find(':') != host.npos;
  co_return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace

struct FtpServer::State {
  State(Drive& drive, bool read_only, fs::GridFs::Durability durability)
      : roots(drive, read_only, durability) {}

  Roots roots;
  std::unique_ptr<ftp::Service> service;
  std::string listeners, addresses;
};

FtpServer::FtpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
FtpServer::~FtpServer() = default;

const std::string& FtpServer::listeners() const { return state_->listeners; }
std::string FtpServer::addresses() const { return state_->addresses; }
Task<> FtpServer::close() { return state_->service->close(); }

Result<bool> ftp_enabled(const grid::NodeDir& node) {
  TRY(enabled, node.config().boolean("ftpd", "enabled"));
  return enabled.value_or(false);
}

namespace {
// "tcp:8021:interface=127.0.0.1", as Tahoe writes places to listen at.
Result<> add_places(const grid::ConfigFile& config, const char* key, const std::string& text,
                    std::vector<std::string>& into) {
  auto places = grid::parse_tub_port(text);
  if (!places) {
    return fail(Errc::bad_config,
                config.where("ftpd", key) + ": [ftpd] " + key + ": " + places.error().context);
  }
  for (const auto& at : *places) {
    const bool v6 = at.host.find(':') != at.host.npos;
    into.push_back((v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port));
  }
  return {};
}
}  // namespace

Result<FtpSettings> ftp_settings(FtpSettings settings, const grid::NodeDir& node) {
  const auto& config = node.config();
  TRY(port, config.text("ftpd", "port"));
  TRY(accounts, config.text("ftpd", "accounts.file"));
  TRY(implicit, config.text("ftpd", "implicit-port"));
  if (settings.addresses.empty() && settings.implicit_addresses.empty()) {
    if (port) TRY_DO(add_places(config, "port", *port, settings.addresses));
    if (implicit)
      TRY_DO(add_places(config, "implicit-port", *implicit, settings.implicit_addresses));
    if (!port && !implicit) settings.addresses.push_back(default_address);
  }
  const auto text = [&](const char* key, std::string& into) -> Result<> {
    TRY(value, config.text("ftpd", key));
    if (into.empty() && value) into = *value;
    return {};
  };
  const auto file = [&](const char* key, std::string& into) -> Result<> {
    const bool typed = !into.empty();
    TRY_DO(text(key, into));
    if (!typed && !into.empty()) into = (node.path() / into).string();
    return {};
  };
  // A key belongs to its certificate: one from here does not go with one that was typed.
  const bool typed_certificate = !settings.certificate.empty();
  TRY_DO(file("certificate", settings.certificate));
  if (!typed_certificate) TRY_DO(file("key", settings.key));
  TRY_DO(text("passive-ports", settings.passive_ports));
  TRY_DO(text("external-address", settings.external_address));
  TRY_DO(text("anonymous", settings.anonymous));
  const auto flag = [&](const char* key, bool& into) -> Result<> {
    TRY(value, config.boolean("ftpd", key));
    into |= value.value_or(false);
    return {};
  };
  TRY_DO(flag("allow-plain", settings.allow_plain));
  TRY_DO(flag("read-only", settings.read_only));
  TRY_DO(flag("require-session-reuse", settings.require_resumed));
  TRY(sessions, config.number("ftpd", "max-sessions", 1, 100'000));
  if (sessions && !settings.sessions) settings.sessions = *sessions;
  TRY(idle, config.number("ftpd", "idle-limit", 10, 7200));
  if (idle && !settings.idle_limit) settings.idle_limit = static_cast<std::uint32_t>(*idle);
  if (settings.accounts.empty()) {
    const std::filesystem::path configured = accounts.value_or("private/accounts");
    settings.accounts = (configured.is_absolute() ? configured : node.path() / configured).string();
  }
  return settings;
}

Task<Result<std::unique_ptr<FtpServer>>> FtpServer::start(Drive& drive, FtpSettings settings,
                                                          fs::Login* login) {
  auto& session = drive.session();
  CO_TRY(options, service_options(settings));
  CO_TRY(tls, open_tls(settings, session.node()));
  const bool has_tls = tls.has_value();
  if (!has_tls && !settings.implicit_addresses.empty())
    co_return fail(Errc::bad_argument, "implicit TLS and no TLS exclude each other");
  if (settings.allow_plain)
    log::warning("ftp: passwords and files may cross the network in the clear");
  if (has_tls) log::info("ftp: certificate SHA-256 " + tls->fingerprint());
  CO_TRY(durability, served_durability(settings.durability, session.node()));
  auto state = std::make_unique<State>(drive, settings.read_only, durability);
  const auto& io = session.io();
  auto open_root = [roots = &state->roots](fs::Account account) {
    return roots->open(std::move(account));
  };
  state->service = std::make_unique<ftp::Service>(io.executor, io.pool, *login, open_root,
                                                  std::move(tls), std::move(options));
  Result<> listening;
  for (const bool implicit : {false, true}) {
    for (const auto& text : implicit ? settings.implicit_addresses : settings.addresses) {
      auto at = co_await listen_at(*state->service, text, implicit);
      if (!at) {
        listening = std::unexpected(std::move(at.error()));
        break;
      }
      state->addresses += (state->addresses.empty() ? "" : ", ") + *at;
      state->listeners += (implicit ? "ftps server on " : "ftp server on ") + *at +
                          (implicit  ? " (implicit TLS)"
                           : has_tls ? " (AUTH TLS)"
                                     : " (no TLS)") +
                          "\n";
    }
  }
  if (!listening) {
    co_await state->service->close();
    co_return std::unexpected(std::move(listening.error()));
  }
  co_return std::unique_ptr<FtpServer>(new FtpServer(std::move(state)));
}

}  // namespace lafs
