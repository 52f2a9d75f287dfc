// SPDX-License-Identifier: Apache-2.0
#include "frontends/accounts_command.h"

#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>

#include "frontends/cli/output.h"
#include "frontends/cli/target.h"
#include "frontends/fs/accounts.h"
#include "grid/base/base32.h"
#include "grid/base/log.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/password.h"
#include "grid/node_dir.h"
#include "grid/node_dir/files.h"
#include "grid/node_dir/quantities.h"

namespace lafs {
namespace {

namespace json = boost::json;
using cli::Exit;
using fs::Account;
using fs::Accounts;

constexpr std::size_t password_max = 1024;

struct Options {
  std::string file;  // --accounts
  std::string name;
  std::string root = "tahoe:";
  std::string home = "/";
  std::vector<std::string> keys;       // files, or - for standard input
  std::vector<std::string> key_files;  // authorized_keys
  std::string removed_key;
  std::string quota;
  bool read_only = false;
  bool stdin_password = false;
  bool remove_password = false;
  bool json = false;
};

std::string fingerprint(const fs::PublicKey& key) {
  auto text = base64(grid::sha256(key.blob));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

// The accounts file, held against other writers while it is changed.
class File {
 public:
  static Result<File> open(const cli::Commands& commands, const Options& options, bool to_change) {
    TRY(node, grid::NodeDir::open(commands.globals().node_path()));
    File out;
    out.path_ = options.file;
    if (options.file.empty()) {
      TRY(configured, node.config().text("sftpd", "accounts.file"));
      out.path_ = configured ? node.path() / *configured : node.private_path("accounts");
    }
    if (to_change) {
      TRY(lock, grid::FileLock::wait(out.path_.string() + ".lock"));
      out.lock_.emplace(std::move(lock));
    }
    auto text = grid::read_small_file(out.path_);
    if (!text && text.error().code != Errc::not_found)
      return std::unexpected(std::move(text.error()));
    auto accounts = Accounts::parse(text ? *text : "");
    if (!accounts) return annotate(std::move(accounts.error()), out.path_.string());
    out.accounts_ = std::move(*accounts);
    out.aliases_ = *node.aliases();
    return out;
  }

  Result<Account*> find(const std::string& name) {
    auto* account = accounts_.find(name);
    if (!account) return fail(Errc::not_found, "account " + name);
    if (account->in_tahoe_format)
      return fail(Errc::unsupported, "account " + name +
                                         " is a line in Tahoe's form; change it in " +
                                         path_.string() + ", or remove and add it");
    return account;
  }
  Result<> save() { return grid::replace_file(path_, accounts_.text(), grid::private_file); }

  Accounts& accounts() { return accounts_; }
  // A root that nobody could open is a mistake to be told now.
  Result<> check_root(const std::string& root) const {
    TRY(target, cli::parse_grid_target(root));
    if (target.cap.empty() && !aliases_.contains(target.alias) && target.alias != "tahoe")
      return fail(Errc::not_found, "alias " + target.alias);
    return {};
  }

 private:
  std::filesystem::path path_;
  std::optional<grid::FileLock> lock_;
  Accounts accounts_;
  grid::Aliases aliases_;
};

// What is typed is not shown.
Result<std::string> type_password(const char* prompt) {
  std::fputs(prompt, stderr);
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  std::string line;
  const bool got = static_cast<bool>(std::getline(std::cin, line));
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputs("\n", stderr);
  }
  if (!got) return fail(Errc::cancelled, "no password");
  return line;
}

Result<std::string> new_password(const Options& options) {
  std::string password;
  if (options.stdin_password || !::isatty(STDIN_FILENO)) {
    if (!std::getline(std::cin, password))
      return fail(Errc::bad_argument, "no password on standard input");
    if (password.ends_with('\r')) password.pop_back();
  } else {
    TRY(first, type_password("New password: "));
    TRY(second, type_password("Once more: "));
    if (first != second) return fail(Errc::bad_argument, "the two passwords differ");
    password = std::move(first);
  }
  if (password.empty()) return fail(Errc::bad_argument, "an empty password");
  if (password.size() > password_max) return fail(Errc::bad_argument, "the password is too long");
  return grid::hash_password(password);
}

Result<> add_keys(Account& account, const std::vector<std::string>& files) {
  for (const auto& file : files) {
    std::string text;
    if (file == "-") {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
      TRY(content, grid::read_small_file(file));
      text = std::move(content);
    }
    if (text.find("PRIVATE KEY") != text.npos)
      return fail(Errc::bad_argument, file + " is a private key; give the public one (.pub)");
    auto keys = fs::AuthorizedKeys::parse(text);
    if (!keys.skipped.empty()) return fail(Errc::bad_argument, file + " " + keys.skipped.front());
    if (keys.keys.empty()) return fail(Errc::bad_argument, file + " has no public key");
    for (auto& key : keys.keys) {
      const bool known = std::ranges::any_of(
          account.keys, [&](const fs::PublicKey& own) { return own.same_key(key); });
      if (!known) account.keys.push_back(std::move(key));
    }
  }
  return {};
}

Result<Exit> add(const cli::Commands& commands, const Options& options) {
  TRY(file, File::open(commands, options, true));
  TRY_DO(file.check_root(options.root));
  Account account;
  account.name = options.name;
  account.root = options.root;
  account.home = options.home;
  account.read_only = options.read_only;
  account.key_files = options.key_files;
  if (!options.quota.empty()) {
    TRY(quota, grid::parse_size(options.quota));
    account.quota = quota;
  }
  TRY_DO(add_keys(account, options.keys));
  if (options.stdin_password) {
    TRY(hash, new_password(options));
    account.password = std::move(hash);
  }
  const bool open = account.keys.empty() && account.key_files.empty() && account.password.empty();
  TRY_DO(file.accounts().add(std::move(account)));
  TRY_DO(file.save());
  if (open)
    cli::print("account " + options.name +
               " can log in once it has a key (lafs accounts key) or a " +
               "password (lafs accounts passwd)\n");
  TRY_DO(cli::finish_output());
  return Exit::ok;
}

Result<Exit> passwd(const cli::Commands& commands, const Options& options) {
  {
    // Before anybody types one.
    TRY(file, File::open(commands, options, false));
    TRY_DO(file.find(options.name));
  }
  std::string hash;
  if (!options.remove_password) {
    TRY(made, new_password(options));
    hash = std::move(made);
  }
  TRY(file, File::open(commands, options, true));
  TRY(account, file.find(options.name));
  account->password = std::move(hash);
  TRY_DO(file.save());
  return Exit::ok;
}

Result<Exit> key(const cli::Commands& commands, const Options& options) {
  TRY(file, File::open(commands, options, true));
  TRY(account, file.find(options.name));
  if (!options.removed_key.empty()) {
    const auto gone = std::erase_if(account->keys, [&](const fs::PublicKey& own) {
      return fingerprint(own) == options.removed_key || own.comment == options.removed_key;
    });
    if (gone == 0) return fail(Errc::not_found, "key " + options.removed_key);
  }
  TRY_DO(add_keys(*account, options.keys));
  for (const auto& path : options.key_files) account->key_files.push_back(path);
  TRY_DO(file.save());
  return Exit::ok;
}

Result<Exit> remove(const cli::Commands& commands, const Options& options) {
  TRY(file, File::open(commands, options, true));
  if (!file.accounts().remove(options.name))
    return fail(Errc::not_found, "account " + options.name);
  TRY_DO(file.save());
  return Exit::ok;
}

// Caps are keys: shown as what they are, without their secrets.
json::object to_json(const Account& account) {
  json::array keys;
  for (const auto& key : account.keys)
    keys.push_back(
        {{"type", key.type}, {"fingerprint", fingerprint(key)}, {"comment", key.comment}});
  json::object out{{"name", account.name},
                   {"root", log::redact(account.root)},
                   {"home", account.home},
                   {"password", !account.password.empty()},
                   {"keys", keys},
                   {"authorized_keys", json::value_from(account.key_files)},
                   {"read_only", account.read_only},
                   {"quota", nullptr}};
  if (account.quota) out["quota"] = *account.quota;
  return out;
}

Result<Exit> list(const cli::Commands& commands, const Options& options) {
  TRY(file, File::open(commands, options, false));
  if (options.json) {
    json::array all;
    for (const auto& account : file.accounts().all()) all.push_back(to_json(account));
    cli::print(json::serialize(all) + "\n");
  } else {
    std::vector<std::vector<std::string>> rows{
        {"ACCOUNT", "ROOT", "HOME", "LOGIN", "MAY", "QUOTA"}};
    for (const auto& account : file.accounts().all()) {
      std::string login = account.keys.empty() ? "" : std::to_string(account.keys.size()) + " keys";
      if (!account.key_files.empty())
        login += (login.empty() ? "" : ", ") + std::string("key file");
      if (!account.password.empty())
        login += (login.empty() ? "" : ", ") +
                 std::string(account.clear ? "password in the clear" : "password");
      rows.push_back({cli::printable(account.name), cli::printable(log::redact(account.root)),
                      cli::printable(account.home), login.empty() ? "none yet" : login,
                      account.read_only ? "read" : "read, write",
                      account.quota ? cli::human_size(*account.quota) : "-"});
    }
    cli::print(cli::format_table(rows));
  }
  TRY_DO(cli::finish_output());
  return Exit::ok;
}

}  // namespace

void add_accounts_commands(cli::Commands& commands) {
  const auto command = [&](const char* name, const char* description, bool named, auto body) {
    auto* app = commands.add(name, description);
    auto options = std::make_shared<Options>();
    if (named) app->add_option("NAME", options->name, "The account")->required();
    app->add_option("--accounts", options->file,
                    "Default: [sftpd] accounts.file in tahoe.cfg, else private/accounts")
        ->type_name("FILE");
    commands.on(app, [&commands, options, body] { return body(commands, *options); });
    return std::pair(app, options);
  };
  {
    const auto [app, options] =
        command("accounts add", "Let somebody use the file servers", true, add);
    app->add_option("--root", options->root, "alias:path or a cap: the account's \"/\" (tahoe:)")
        ->type_name("PLACE");
    app->add_option("--home", options->home, "Where its sessions begin, below the root (/)")
        ->type_name("PATH");
    app->add_option("--key", options->keys, "A file with public keys; - for standard input")
        ->type_name("FILE");
    app->add_option("--authorized-keys", options->key_files,
                    "A file with public keys that is read at each login")
        ->type_name("FILE");
    app->add_flag("--password-stdin", options->stdin_password,
                  "The password is the first line of standard input");
    app->add_flag("-r,--read-only", options->read_only, "May change nothing");
    app->add_option("--quota", options->quota, "Bytes of files: 5GB, 4GiB")->type_name("SIZE");
  }
  {
    const auto [app, options] =
        command("accounts passwd", "Set an account's password", true, passwd);
    app->add_flag("--stdin", options->stdin_password, "It is the first line of standard input");
    app->add_flag("--remove", options->remove_password, "No login by password any more");
  }
  {
    const auto [app, options] = command("accounts key", "Give an account public keys", true, key);
    app->add_option("FILE", options->keys, "Files with public keys; - for standard input");
    app->add_option("--authorized-keys", options->key_files,
                    "A file with public keys that is read at each login")
        ->type_name("FILE");
    app->add_option("--remove", options->removed_key, "Take one away")
        ->type_name("FINGERPRINT|COMMENT");
  }
  {
    const auto [app, options] = command("accounts list", "Who may log in", false, list);
    app->add_flag("--json", options->json, "As JSON");
  }
  command("accounts rm", "Remove an account; its files stay", true, remove);
}

}  // namespace lafs
