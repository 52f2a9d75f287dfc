// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/login.h"

#include <system_error>

#include "grid/base/log.h"
#include "grid/base/process_metrics.h"
#include "grid/crypto/password.h"
#include "grid/crypto/secret.h"
#include "grid/node_dir/files.h"

namespace lafs::fs {
namespace {

constexpr auto look_again = std::chrono::seconds(1);

// A name from outside in one line of the log.
std::string in_quotes(std::string_view name) {
  std::string out = "\"";
  for (const char c : name.substr(0, 64))
    out += static_cast<unsigned char>(c) < 32 || c == 127 || c == '"' ? '?' : c;
  return out + '"';
}

Result<Accounts> read_accounts(const std::filesystem::path& file) {
  TRY(text, grid::read_small_file(file));
  auto accounts = Accounts::parse(text);
  if (!accounts) return annotate(std::move(accounts.error()), file.string());
  return accounts;
}

std::filesystem::file_time_type changed_at(const std::filesystem::path& file) {
  std::error_code error;
  const auto when = std::filesystem::last_write_time(file, error);
  return error ? std::filesystem::file_time_type{} : when;
}

}  // namespace

Login::Login(asio::any_io_executor executor, Pool& pool, std::filesystem::path file,
             Options options)
    : pool_(pool),
      file_(std::move(file)),
      guesses_(options.guesses),
      remember_(options.remember),
      checks_(std::move(executor), options.checks),
      most_waiting_(options.waiting_checks) {}

Login::Login(asio::any_io_executor executor, Pool& pool, Accounts accounts, Options options)
    : Login(std::move(executor), pool, std::filesystem::path(), options) {
  accounts_ = std::make_shared<const Accounts>(std::move(accounts));
}

Result<std::unique_ptr<Login>> Login::open(asio::any_io_executor executor, Pool& pool,
                                           std::filesystem::path file, Options options) {
  std::unique_ptr<Login> login(new Login(std::move(executor), pool, std::move(file), options));
  login->read_at_ = changed_at(login->file_);
  TRY(accounts, read_accounts(login->file_));
  login->accounts_ = std::make_shared<const Accounts>(std::move(accounts));
  return login;
}

std::shared_ptr<const Accounts> Login::accounts() {
  reload();
  return accounts_;
}

void Login::reload() {
  if (file_.empty() || Clock::now() - looked_at_ < look_again) return;
  looked_at_ = Clock::now();
  const auto when = changed_at(file_);
  if (when == read_at_) return;
  read_at_ = when;
  auto accounts = read_accounts(file_);
  if (!accounts) {
    log::error("the changed accounts file is not used: " + accounts.error().message());
    return;
  }
  accounts_ = std::make_shared<const Accounts>(std::move(*accounts));
  recent_.clear();
}

Result<> Login::check_file() const {
  if (file_.empty()) return {};
  TRY_DO(read_accounts(file_));
  return {};
}

void Login::read_again() {
  looked_at_ = {};
  read_at_ = {};
  reload();
}

bool Login::has_key(const Account& account, const PublicKey& key) const {
  const auto among = [&](const std::vector<PublicKey>& keys) {
    return std::ranges::any_of(keys, [&](const PublicKey& own) { return own.same_key(key); });
  };
  if (among(account.keys)) return true;
  for (const auto& file : account.key_files) {
    auto text = grid::read_small_file(file);
    if (!text) {
      log::warning("account " + account.name + ": " + text.error().message());
      continue;
    }
    const auto keys = AuthorizedKeys::parse(*text);
    for (const auto& line : keys.skipped)
      log::warning("account " + account.name + ": " + file + " " + line);
    if (among(keys.keys)) return true;
  }
  return false;
}

std::unexpected<Error> Login::refuse(const Attempt& attempt, std::string_view why) {
  refused(attempt, why);
  return fail(Errc::unauthorized, "login refused");
}

namespace {
// The protocol is one of our own words.
metrics::Counter& logins(const Login::Attempt& attempt, const char* outcome) {
  return metrics::of_process().counter("lafs_logins_total", "Logins to the file servers.",
                                       {{"protocol", attempt.protocol}, {"outcome", outcome}});
}
}  // namespace

void Login::refused(const Attempt& attempt, std::string_view why) {
  logins(attempt, "refused").add();
  guesses_.failed(attempt.address, attempt.account, Clock::now());
  log::warning(attempt.protocol + " login refused: account " + in_quotes(attempt.account) +
               " from " + attempt.address + ": " + std::string(why));
}

Result<Account> Login::welcome(const Attempt& attempt, const Account& account,
                               std::string_view how) {
  logins(attempt, "accepted").add();
  guesses_.succeeded(attempt.address, attempt.account, Clock::now());
  log::info(attempt.protocol + " login: account " + in_quotes(attempt.account) + " from " +
            attempt.address + " by " + std::string(how));
  return account;
}

bool Login::may_connect(std::string_view address) {
  return guesses_.may_try(address, "", Clock::now());
}

// The stored hash is part of it: a new password makes the old mark worthless.
grid::Hash32 Login::mark_of(const Account& account, std::string_view password) const {
  grid::Sha256 hash;
  hash.update(mark_key_.view());
  for (const std::string_view part :
       {std::string_view(account.name), std::string_view(account.password), password}) {
    std::uint8_t size[8];
    put_be<std::uint64_t>(size, part.size());
    hash.update(size);
    hash.update(as_bytes(part));
  }
  return hash.finish();
}

bool Login::was_right(const Account& account, std::string_view password) const {
  const auto it = recent_.find(account.name);
  if (it == recent_.end() || it->second.until < Clock::now()) return false;
  return grid::equal_secret(it->second.mark, mark_of(account, password));
}

Task<Result<Account>> Login::by_password(Attempt attempt, std::string password) {
  reload();
  if (!guesses_.may_try(attempt.address, attempt.account, Clock::now()))
    co_return refuse(attempt, "too many failed attempts");
  if (const auto* known = accounts_->find(attempt.account);
      known && !known->password.empty() && was_right(*known, password))
    co_return welcome(attempt, *known, "password");
  if (waiting_ >= most_waiting_) co_return fail(Errc::busy, "too many logins at once");
  const auto accounts = accounts_;  // stays while we wait
  const auto* account = accounts->find(attempt.account);
  const bool hashed = account && !account->clear && !account->password.empty();
  ++waiting_;
  auto permit = co_await checks_.acquire();
  // One of those who waited with us may have brought the same password.
  if (account && !account->password.empty() && was_right(*account, password)) {
    --waiting_;
    co_return welcome(attempt, *account, "password");
  }
  // Whatever the account has, the same work is done.
  auto work = [&] {
    return grid::check_password(hashed ? account->password : grid::nobodys_password(), password);
  };
  bool good = co_await offload(pool_, std::ref(work));
  --waiting_;
  if (!hashed) good = false;
  if (account && account->clear)
    good = grid::equal_secret(as_bytes(account->password), as_bytes(password));
  // Guesses that were under way together do not all pass the question above.
  if (good && !guesses_.may_try(attempt.address, attempt.account, Clock::now()))
    co_return refuse(attempt, "too many failed attempts");
  if (!account) co_return refuse(attempt, "no such account");
  if (account->password.empty()) co_return refuse(attempt, "the account has no password");
  if (!good) co_return refuse(attempt, "wrong password");
  recent_[account->name] = {mark_of(*account, password), Clock::now() + remember_};
  co_return welcome(attempt, *account, "password");
}

bool Login::knows_key(const Attempt& attempt, const PublicKey& key) {
  reload();
  if (!guesses_.may_try(attempt.address, "", Clock::now())) return false;
  const auto* account = accounts_->find(attempt.account);
  return account && has_key(*account, key);
}

Result<Account> Login::by_key(const Attempt& attempt, const PublicKey& key) {
  reload();
  // Nobody guesses a key: the account's own limit is for passwords.
  if (!guesses_.may_try(attempt.address, "", Clock::now()))
    return refuse(attempt, "too many failed attempts");
  const auto* account = accounts_->find(attempt.account);
  if (!account) return refuse(attempt, "no such account");
  if (!has_key(*account, key)) return refuse(attempt, "unknown key");
  return welcome(attempt, *account, key.type + " key");
}

}  // namespace lafs::fs
