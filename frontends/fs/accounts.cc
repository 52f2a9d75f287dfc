// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/accounts.h"

#include <algorithm>
#include <array>

#include "grid/base/base32.h"
#include "grid/crypto/password.h"
#include "grid/node_dir/quantities.h"

namespace lafs::fs {
namespace {

constexpr std::array key_types = {
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the first word off `rest`.
std::string_view next_word(std::string_view& rest) {
  rest = trimmed(rest);
  const auto end = std::ranges::find_if(rest, is_blank) - rest.begin();
  const auto word = rest.substr(0, static_cast<std::size_t>(end));
  rest = trimmed(rest.substr(word.size()));
  return word;
}

std::string_view next_line(std::string_view& rest) {
  const auto line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

bool is_key_type(std::string_view word) {
  return std::ranges::find(key_types, word) != key_types.end();
}

// Options of an authorized_keys line that change nothing for somebody who can only transfer files.
bool is_harmless(std::string_view option) {
  static constexpr std::array harmless = {
      "restrict",          "no-pty",     "no-port-forwarding",        "no-agent-forwarding",
      "no-x11-forwarding", "no-user-rc", "command=\"internal-sftp\"",
  };
  std::string lower(option);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return std::ranges::find(harmless, lower) != harmless.end();
}

// Takes "a,b=\"x, y\"" off `rest`; nothing when a quote is left open.
std::optional<std::vector<std::string_view>> next_options(std::string_view& rest) {
  std::vector<std::string_view> options;
  std::size_t begin = 0, at = 0;
  bool quoted = false;
  for (; at < rest.size() && (quoted || !is_blank(rest[at])); ++at) {
    if (rest[at] == '\\' && quoted && at + 1 < rest.size()) {
      ++at;
    } else if (rest[at] == '"') {
      quoted = !quoted;
    } else if (rest[at] == ',' && !quoted) {
      options.push_back(rest.substr(begin, at - begin));
      begin = at + 1;
    }
  }
  if (quoted) return std::nullopt;
  options.push_back(rest.substr(begin, at - begin));
  rest = trimmed(rest.substr(at));
  return options;
}

Result<Account> parse_tahoe_line(std::string_view line) {
  Account account;
  account.in_tahoe_format = true;
  account.name = next_word(line);
  TRY_DO(Accounts::check_name(account.name));
  if (is_key_type(line.substr(0, line.find_first_of(" \t")))) {
    // The cap is the last word; a comment may stand between it and the key.
    const auto gap = line.find_last_of(" \t");
    TRY(key, PublicKey::parse(line.substr(0, gap)));
    account.keys.push_back(std::move(key));
    account.root = line.substr(gap + 1);
  } else {
    account.password = next_word(line);
    account.clear = true;
    account.root = line;
  }
  if (account.root.empty() || account.root.find_first_of(" \t") != account.root.npos)
    return fail(Errc::bad_config, "a line is: name, password or public key, root directory");
  return account;
}

Result<bool> parse_yes(std::string_view value) {
  if (value == "yes" || value == "true" || value == "1") return true;
  if (value == "no" || value == "false" || value == "0") return false;
  return fail(Errc::bad_config, "expected yes or no");
}

Result<> set_field(Account& account, std::string_view key, std::string_view value) {
  if (value.empty()) return fail(Errc::bad_config, std::string(key) + " has no value");
  if (key == "root") {
    account.root = value;
  } else if (key == "home") {
    if (value.front() != '/') return fail(Errc::bad_config, "home begins with a slash");
    account.home = value;
  } else if (key == "password") {
    if (!grid::is_password_hash(value))
      return fail(Errc::bad_config,
                  "password is not an argon2id hash; set it by `lafs accounts passwd`");
    account.password = value;
  } else if (key == "key") {
    TRY(parsed, PublicKey::parse(value));
    account.keys.push_back(std::move(parsed));
  } else if (key == "authorized_keys") {
    account.key_files.emplace_back(value);
  } else if (key == "read_only") {
    TRY(yes, parse_yes(value));
    account.read_only = yes;
  } else if (key == "quota") {
    TRY(size, grid::parse_size(value));
    account.quota = size;
  } else {
    return fail(Errc::bad_config, "there is no setting \"" + std::string(key) + "\"");
  }
  return {};
}

std::string section(const Account& account) {
  std::string out = "[" + account.name + "]\nroot = " + account.root + "\n";
  if (account.home != "/") out += "home = " + account.home + "\n";
  if (!account.password.empty()) out += "password = " + account.password + "\n";
  for (const auto& key : account.keys) out += "key = " + key.text() + "\n";
  for (const auto& file : account.key_files) out += "authorized_keys = " + file + "\n";
  if (account.read_only) out += "read_only = yes\n";
  if (account.quota) out += "quota = " + std::to_string(*account.quota) + "\n";
  return out;
}

std::string tahoe_line(const Account& account) {
  return account.name + " " + (account.clear ? account.password : account.keys.front().text()) +
         " " + account.root + "\n";
}

bool is_one_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 32; });
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view line) {
  PublicKey key;
  key.type = next_word(line);
  if (!is_key_type(key.type))
    return fail(Errc::bad_argument,
                "not a public key of a kind we know (\"ssh-ed25519 AAAA... name\")");
  auto blob = from_base64(next_word(line));
  // The blob names its type again, behind a length of four bytes.
  if (!blob || blob->size() < 4 + key.type.size() ||
      get_be<std::uint32_t>(blob->data()) != key.type.size() ||
      as_text(*blob).substr(4, key.type.size()) != key.type)
    return fail(Errc::bad_argument, "the public key's text is damaged");
  key.blob = std::move(*blob);
  key.comment = line;
  return key;
}

std::string PublicKey::text() const {
  return type + " " + base64(blob) + (comment.empty() ? "" : " " + comment);
}

AuthorizedKeys AuthorizedKeys::parse(std::string_view text) {
  AuthorizedKeys out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = trimmed(next_line(text));
    if (line.empty() || line.front() == '#') continue;
    const auto skip = [&](std::string why) {
      out.skipped.push_back("line " + std::to_string(number) + ": " + std::move(why));
    };
    if (!is_key_type(line.substr(0, line.find_first_of(" \t")))) {
      const auto options = next_options(line);
      if (!options) {
        skip("a quote is not closed");
        continue;
      }
      const auto odd = std::ranges::find_if_not(*options, is_harmless);
      if (odd != options->end()) {
        skip("option " + std::string(odd->substr(0, odd->find('='))) + " is not supported");
        continue;
      }
    }
    if (auto key = PublicKey::parse(line)) {
      out.keys.push_back(std::move(*key));
    } else {
      skip(key.error().context);
    }
  }
  return out;
}

Result<Accounts> Accounts::parse(std::string_view text) {
  Accounts out;
  std::string comment;
  std::optional<Account> current;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto line = trimmed(next_line(text));
    const auto wrong = [&](Error error) {
      return fail(Errc::bad_config, "line " + std::to_string(number) + ": " + error.context);
    };
    if (line.empty() || line.front() == '#' || line.front() == ';') {
      comment += std::string(line) + "\n";
      continue;
    }
    if (line.front() == '[') {
      if (line.back() != ']') return wrong({Errc::bad_config, "\"[\" without \"]\""});
      if (current) {
        if (auto added = out.add(std::move(*current)); !added) return wrong(added.error());
      }
      current.emplace();
      current->name = trimmed(line.substr(1, line.size() - 2));
      if (auto good = check_name(current->name); !good) return wrong(good.error());
      if (!comment.empty()) out.comments_[current->name] = std::exchange(comment, "");
      continue;
    }
    if (!current) {
      auto account = parse_tahoe_line(line);
      if (!account) return wrong(account.error());
      if (!comment.empty()) out.comments_[account->name] = std::exchange(comment, "");
      if (auto added = out.add(std::move(*account)); !added) return wrong(added.error());
      continue;
    }
    const auto equals = line.find('=');
    if (equals == line.npos) return wrong({Errc::bad_config, "expected \"setting = value\""});
    auto set =
        set_field(*current, trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
    if (!set) return wrong(set.error());
  }
  if (current) {
    if (auto added = out.add(std::move(*current)); !added)
      return fail(Errc::bad_config, "at the end: " + added.error().context);
  }
  if (!comment.empty()) out.comments_[""] = std::move(comment);
  return out;
}

std::string Accounts::text() const {
  std::string out;
  const auto comment = [&](std::string_view name) {
    const auto found = comments_.find(name);
    return found == comments_.end() ? std::string() : found->second;
  };
  for (const auto& account : accounts_) {
    auto before = comment(account.name);
    if (!account.in_tahoe_format && before.empty() && !out.empty()) before = "\n";
    out += before + (account.in_tahoe_format ? tahoe_line(account) : section(account));
  }
  return out + comment("");
}

const Account* Accounts::find(std::string_view name) const {
  const auto found = std::ranges::find(accounts_, name, &Account::name);
  return found == accounts_.end() ? nullptr : &*found;
}

Account* Accounts::find(std::string_view name) {
  return const_cast<Account*>(std::as_const(*this).find(name));
}

Result<> Accounts::add(Account account) {
  TRY_DO(check_name(account.name));
  if (find(account.name)) return fail(Errc::exists, "account " + account.name);
  if (account.root.empty())
    return fail(Errc::bad_argument, "account " + account.name + " has no root directory");
  if (!is_one_line(account.root) || !is_one_line(account.home) || !account.home.starts_with('/'))
    return fail(Errc::bad_argument, "account " + account.name + ": root or home cannot be written");
  accounts_.push_back(std::move(account));
  return {};
}

bool Accounts::remove(std::string_view name) {
  const auto comment = comments_.find(name);
  if (comment != comments_.end() && !name.empty()) comments_.erase(comment);
  return std::erase_if(accounts_, [&](const Account& a) { return a.name == name; }) > 0;
}

Result<> Accounts::check_name(std::string_view name) {
  const auto wrong = [](char c) {
    return static_cast<unsigned char>(c) <= 32 || c == 127 ||
           std::string_view("[]=#;/:\"\\").find(c) != std::string_view::npos;
  };
  if (name.empty() || name.size() > 64 || std::ranges::any_of(name, wrong))
    return fail(Errc::bad_argument,
                "an account's name is 1 to 64 characters, without blanks and []=#;/:\"\\");
  return {};
}

}  // namespace lafs::fs
