// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"
#include "grid/crypto/random.h"
#include "grid/node_dir/files.h"
#include "grid/node_dir/quantities.h"

namespace lafs::grid {

namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view private_readme =
    "This directory contains files which contain private data for this node,\n"
    "such as private keys. On Unix-like systems, the permissions on this directory\n"
    "are set to disallow users other than its owner from reading the contents of\n"
    "the files. Back it up: without private/aliases nobody finds your files again.\n";

constexpr std::array settings_before_1_3{
    "nickname",        "webport",          "keepalive_timeout",      "disconnect_timeout",
    "introducer.furl", "helper.furl",      "key_generator.furl",     "stats_gatherer.furl",
    "no_storage",      "readonly_storage", "debug_discard_storage",  "log_gatherer.furl",
    "sizelimit",       "run_helper",       "advertised_ip_addresses"};

// Values that end up in a file of ours as they are.
std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n' || c == '\r') continue;
    out += c;
    if (c == '%') out += '%';
  }
  return out;
}

}  // namespace

Result<ShareCounts> ShareCounts::parse(std::string_view text) {
  ShareCounts out;
  unsigned* fields[] = {&out.needed, &out.happy, &out.total};
  std::string_view rest = text;
  for (unsigned i = 0; i < 3; ++i) {
    const auto part = rest.substr(0, rest.find(','));
    const auto number = parse_decimal(trimmed(part));
    const bool last = part.size() == rest.size();
    if (!number || *number > 256 || last != (i == 2)) {
      return fail(Errc::bad_argument,
                  "\"" + std::string(text) + "\" is not like 3,4,5 (needed, happy, total)");
    }
    *fields[i] = static_cast<unsigned>(*number);
    rest.remove_prefix(last ? part.size() : part.size() + 1);
  }
  TRY_DO(out.check());
  return out;
}

Result<> ShareCounts::check() const {
  if (1 <= needed && needed <= happy && happy <= total && total <= 256) return {};
  return fail(Errc::bad_argument, "shares " + text() + " (needed, happy, total) must be numbers " +
                                      "1 <= needed <= happy <= total <= 256");
}

std::string ShareCounts::text() const {
  return std::to_string(needed) + "," + std::to_string(happy) + "," + std::to_string(total);
}

stdfs::path NodeDir::default_path() {
  if (const char* named = std::getenv("LAFS_NODE"); named && *named) return named;
  const char* home = std::getenv("HOME");
  if (!home || !*home) {
    const auto* user = ::getpwuid(::getuid());
    home = user ? user->pw_dir : "/";
  }
  return stdfs::path(home) / ".lafs";
}

Result<NodeDir> NodeDir::create(const stdfs::path& path, const Creation& what) {
  TRY_DO(what.shares.check());
  TRY(servers, parse_servers(what.servers, "servers.yaml"));
  if (!what.servers.empty() && servers.servers.empty()) {
    return fail(Errc::bad_config, "servers.yaml names no usable server");
  }
  std::vector<IntroducerEntry> introducers;
  for (const auto& furl : what.introducers) {
    introducers.push_back({"introducer" + std::to_string(introducers.size() + 1), furl});
    if (introducers.size() == 1) introducers.back().petname = "introducer";
  }
  TRY_DO(parse_introducers(format_introducers(introducers), "--introducer", std::nullopt));
  TRY_DO(make_directory(path, 0700));
  TRY_DO(make_directory(path / "private", 0700));
  std::error_code ignored;
  stdfs::permissions(path / "private", stdfs::perms::owner_all, ignored);
  // tahoe.cfg makes it a node directory and therefore comes last; this look is for the message.
  if (stdfs::exists(path / "tahoe.cfg", ignored)) {
    return fail(Errc::exists, path.string() + " is a node directory already");
  }
  TRY_DO(create_file(path / "private" / "README", private_readme, public_file));
  if (!what.servers.empty()) {
    TRY_DO(replace_file(path / "private" / "servers.yaml", what.servers, private_file));
  }
  if (!introducers.empty()) {
    TRY_DO(replace_file(path / "private" / "introducers.yaml", format_introducers(introducers),
                        private_file));
  }
  TRY_DO(create_file(path / "private" / "aliases", "", private_file));
  TRY_DO(create_file(path / "tahoe-client.tac",
                     "\n# this dummy file will usually be named tahoe-client.tac\n", public_file));
  const std::string config =
      "# A Tahoe-LAFS node directory, made by lafs.\n"
      "\n[node]\n"
      "nickname = " +
      escaped(what.nickname) +
      "\n"
      "tub.port = disabled\n"
      "tub.location = disabled\n"
      "\n[client]\n"
      "# Any `needed` of `total` shares give a file back; fewer than `happy` servers fail an "
      "upload.\n"
      "shares.needed = " +
      std::to_string(what.shares.needed) +
      "\n"
      "shares.happy = " +
      std::to_string(what.shares.happy) +
      "\n"
      "shares.total = " +
      std::to_string(what.shares.total) +
      "\n"
      "\n[storage]\n"
      "enabled = false\n";
  TRY(made, create_file(path / "tahoe.cfg", config, public_file));
  if (!made) return fail(Errc::exists, path.string() + " is a node directory already");
  TRY(node, open(path));
  TRY_DO(node.convergence_secret());
  TRY_DO(node.lease_secret());
  return node;
}

Result<NodeDir> NodeDir::open(const stdfs::path& path) {
  NodeDir out;
  std::error_code error;
  out.path_ = stdfs::absolute(path, error);
  if (error) return system_error(error.value(), path, "use");
  const auto status = stdfs::status(out.path_, error);
  if (status.type() == stdfs::file_type::not_found) {
    return fail(Errc::bad_config, "there is no node directory " + out.path_.string() +
                                      "; make one with `lafs create-node`, or name another with "
                                      "--node or $LAFS_NODE");
  }
  if (error) return system_error(error.value(), out.path_, "read node directory");
  if (status.type() != stdfs::file_type::directory) {
    return fail(Errc::bad_config, out.path_.string() + " is not a directory");
  }
  if (::access(out.path_.c_str(), R_OK | X_OK) != 0) {
    return system_error(errno, out.path_, "read node directory");
  }
  TRY_DO(out.read_config());
  return out;
}

Result<> NodeDir::read_config() {
  // Tahoe does not start with them either: what they say would be lost without a word.
  std::error_code missing;
  for (const auto* old : settings_before_1_3) {
    if (!stdfs::is_regular_file(path_ / old, missing)) continue;
    return fail(Errc::bad_config, (path_ / old).string() +
                                      " is a setting of Tahoe-LAFS before 1.3, which nobody reads "
                                      "any more; move what it says to tahoe.cfg and remove it");
  }
  const auto file = path_ / "tahoe.cfg";
  auto text = read_small_file(file);
  if (!text && text.error().code != Errc::not_found) return std::unexpected(text.error());
  if (!text && !std::filesystem::exists(path_ / "private")) {
    return fail(Errc::bad_config, path_.string() +
                                      " is not a node directory: it has no tahoe.cfg; "
                                      "make one with `lafs create-node`");
  }
  TRY(config, ConfigFile::parse(text ? *text : "", file.string()));
  config_ = std::move(config);
  config_.override_by([](const char* name) { return std::getenv(name); });
  if (auto known = config_.check_known(); !known) warning_ = known.error().context;

  TRY(nickname, config_.text("node", "nickname"));
  nickname_ = nickname.value_or("<unspecified>");

  const auto count = [&](const char* key, unsigned otherwise) -> Result<unsigned> {
    TRY(number, config_.number("client", key, 1, 256));
    return static_cast<unsigned>(number.value_or(otherwise));
  };
  TRY(needed, count("shares.needed", 3));
  TRY(happy, count("shares.happy", 7));
  TRY(total, count("shares.total", 10));
  shares_ = {needed, happy, total};
  if (auto sane = shares_.check(); !sane) {
    return fail(Errc::bad_config,
                config_.where("client", "shares.total") + ": " + sane.error().context);
  }
  TRY(format, config_.text("client", "mutable.format"));
  std::string word = format.value_or("");
  for (char& c : word) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  mutable_format_ = word == "mdmf" ? "mdmf" : "sdmf";

  TRY(storage, StorageConfig::read(config_, path_));
  storage_ = std::move(storage);
  return {};
}

Result<std::string> NodeDir::secret_text(std::string_view name, bool may_be_empty) const {
  const auto file = private_path(name);
  auto text = read_small_file(file, 4096);
  if (!text && text.error().code == Errc::not_found) {
    TRY_DO(make_directory(path_ / "private", 0700));
    TRY_DO(create_file(file, base32(random_bytes(32)) + "\n", private_file));
    text = read_small_file(file, 4096);
  }
  if (!text) return std::unexpected(text.error());
  std::string out(trimmed(*text));
  if (out.empty() && !may_be_empty) {
    return fail(Errc::bad_config, file.string() +
                                      " is empty; restore it from a backup, or remove " +
                                      "it to make a new secret");
  }
  return out;
}

Result<Bytes> NodeDir::convergence_secret() const {
  TRY(text, secret_text("convergence", true));
  auto secret = from_base32_lax(text);
  if (!secret) {
    return fail(Errc::bad_config, private_path("convergence").string() + ":1: not base32");
  }
  return std::move(*secret);
}

Result<Secret32> NodeDir::lease_secret() const {
  TRY(text, secret_text("secret", false));
  const auto raw = from_base32_lax(text);
  const auto secret = raw ? Secret32::from(*raw) : std::nullopt;
  if (!secret) {
    return fail(Errc::bad_config,
                private_path("secret").string() + ":1: not 32 bytes in base32 (52 characters)");
  }
  return *secret;
}

Result<Aliases> NodeDir::aliases() const {
  Aliases out;
  if (auto root = read_small_file(private_path("root_dir.cap"), 65536); root) {
    if (const auto cap = trimmed(*root); !cap.empty()) out.emplace("tahoe", cap);
  } else if (root.error().code != Errc::not_found) {
    return std::unexpected(root.error());
  }
  const auto file = private_path("aliases");
  auto text = read_small_file(file);
  if (!text && text.error().code == Errc::not_found) return out;
  if (!text) return std::unexpected(text.error());
  TRY(named, parse_aliases(*text, file.string()));
  for (auto& [name, cap] : named) out.insert_or_assign(name, std::move(cap));
  return out;
}

Result<std::string> NodeDir::alias(std::string_view name) const {
  TRY(all, aliases());
  if (const auto found = all.find(name); found != all.end()) return found->second;
  std::string known;
  for (const auto& [other, cap] : all) known += (known.empty() ? "" : ", ") + other + ":";
  return fail(Errc::not_found, "no alias \"" + std::string(name) + ":\" in " + path_.string() +
                                   (known.empty() ? " (it has none)" : " (it has " + known + ")"));
}

Result<> NodeDir::add_alias(std::string_view name, std::string_view cap) const {
  TRY_DO(check_alias_name(name));
  TRY_DO(make_directory(path_ / "private", 0700));
  // Two commands that add at once would else lose one of the lines.
  TRY(lock, FileLock::wait(path_ / "private"));
  TRY(all, aliases());
  if (all.contains(name)) return fail(Errc::exists, "alias \"" + std::string(name) + ":\"");
  auto text = read_small_file(private_path("aliases"));
  if (!text && text.error().code != Errc::not_found) return std::unexpected(text.error());
  std::string now = text ? *text : "";
  if (!now.empty() && !now.ends_with('\n')) now += '\n';
  now += std::string(name) + ": " + std::string(cap) + "\n";
  return replace_file(private_path("aliases"), now, private_file);
}

Result<ServersFile> NodeDir::servers() const {
  const auto file = private_path("servers.yaml");
  auto text = read_small_file(file);
  if (!text && text.error().code == Errc::not_found) return ServersFile{};
  if (!text) return std::unexpected(text.error());
  return parse_servers(*text, file.string());
}

Result<std::vector<IntroducerEntry>> NodeDir::introducers() const {
  const auto file = private_path("introducers.yaml");
  auto text = read_small_file(file);
  const bool missing = !text && text.error().code == Errc::not_found;
  if (!text && !missing) return std::unexpected(text.error());
  TRY(configured, config_.text("client", "introducer.furl"));
  return parse_introducers(missing ? std::nullopt : std::optional<std::string_view>(*text),
                           file.string(), configured);
}

Result<std::vector<std::string>> NodeDir::preferred_servers() const {
  TRY(preferred, config_.text("client", "peers.preferred"));
  // Commas separate; line feeds come from continued lines.
  std::vector<std::string> out;
  std::string_view rest = preferred ? std::string_view(*preferred) : std::string_view{};
  while (!rest.empty()) {
    const auto id = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), id.size() + 1));
    if (const auto name = trimmed(id); !name.empty()) out.emplace_back(name);
  }
  return out;
}

Result<> NodeDir::may_connect() const {
  const auto refuse = [&](const char* section, const char* key, const std::string& value) {
    return fail(Errc::bad_config, config_.where(section, key) + ": [" + section + "] " + key +
                                      " is " + value +
                                      ", but lafs connects directly only (it has no Tor and no "
                                      "I2P): nothing is contacted");
  };
  TRY(tcp, config_.text("connections", "tcp"));
  if (tcp && *tcp != "tcp") {
    if (*tcp != "tor" && *tcp != "disabled")
      return fail(Errc::bad_config, config_.where("connections", "tcp") +
                                        ": [connections] tcp is \"" + *tcp +
                                        "\"; write tcp, tor or disabled");
    return refuse("connections", "tcp", *tcp);
  }
  TRY(reveal, config_.boolean("node", "reveal-ip-address"));
  if (!reveal.value_or(true)) return refuse("node", "reveal-ip-address", "false");
  return {};
}

Result<std::vector<std::pair<std::string, std::string>>> NodeDir::grid_managers() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& name : config_.keys("grid_managers")) {
    TRY(key, config_.text("grid_managers", name));
    if (key) out.emplace_back(name, *key);
  }
  return out;
}

}  // namespace lafs::grid
