// SPDX-License-Identifier: Apache-2.0
#pragma once

// The door of the file servers: who may come in, by password or by key. One for all protocols of a
// process, so that guesses count wherever they are made. I/O thread only.
//
// The accounts file is read again when it has changed; a new one that cannot be read is reported
// once and the old accounts stay. Every refusal is one line in the log, in a form for fail2ban:
//
//   sftp login refused: account "bob" from 192.0.2.7: wrong password

#include <filesystem>
#include <map>
#include <memory>

#include "frontends/fs/accounts.h"
#include "frontends/fs/guess_limiter.h"
#include "grid/base/offload.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/random.h"

namespace lafs::fs {

class Login {
 public:
  struct Options {
    GuessLimiter::Options guesses = {};
    std::size_t checks = 2;           // password checks at a time: each takes 64 MiB and a core
    std::size_t waiting_checks = 64;  // more than these are refused as busy
    // A password that was right is not put through argon2 again for so long: mirroring programs
    // log in a dozen times at once. What is kept of it is a hash under a key of this process.
    Duration remember = std::chrono::minutes(10);
  };

  struct Attempt {
    std::string protocol;  // "sftp"; for the log
    std::string address;   // of the peer, as text
    std::string account;
  };

  // `file` must be readable now: not_found, bad_config.
  static Result<std::unique_ptr<Login>> open(asio::any_io_executor executor, Pool& pool,
                                             std::filesystem::path file, Options options);
  // With accounts that come from elsewhere.
  Login(asio::any_io_executor executor, Pool& pool, Accounts accounts, Options options);

  // What the account sees, or unauthorized (whatever was wrong: the log knows) or busy. Takes as
  // long for an account that does not exist.
  Task<Result<Account>> by_password(Attempt attempt, std::string password);
  // For a key whose possession has been proved.
  Result<Account> by_key(const Attempt& attempt, const PublicKey& key);
  // Whether the key would do: asked before the proof. Not counted.
  bool knows_key(const Attempt& attempt, const PublicKey& key);
  // A login that never came to an answer here (a proof that failed): counted and logged.
  void refused(const Attempt& attempt, std::string_view why);
  // Whether a new connection from there should be talked to at all.
  bool may_connect(std::string_view address);

  // Reads the file now, whether or not it has changed. An error leaves the accounts as they are.
  Result<> check_file() const;
  void read_again();

  // The accounts as they are now.
  std::shared_ptr<const Accounts> accounts();

 private:
  Login(asio::any_io_executor executor, Pool& pool, std::filesystem::path file, Options options);
  void reload();
  grid::Hash32 mark_of(const Account& account, std::string_view password) const;
  bool was_right(const Account& account, std::string_view password) const;
  bool has_key(const Account& account, const PublicKey& key) const;
  Result<Account> welcome(const Attempt& attempt, const Account& account, std::string_view how);
  std::unexpected<Error> refuse(const Attempt& attempt, std::string_view why);

  Pool& pool_;
  std::filesystem::path file_;  // empty: never reloaded
  std::filesystem::file_time_type read_at_{};
  TimePoint looked_at_{};
  std::shared_ptr<const Accounts> accounts_;
  GuessLimiter guesses_;
  struct Recent {
    grid::Hash32 mark;
    TimePoint until;
  };
  std::map<std::string, Recent, std::less<>> recent_;  // by account
  grid::Secret32 mark_key_ = grid::random_secret<32>();
  Duration remember_;
  Limiter checks_;
  std::size_t waiting_ = 0;
  std::size_t most_waiting_;
};

}  // namespace lafs::fs
