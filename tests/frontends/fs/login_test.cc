// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/login.h"

#include <unistd.h>

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <fstream>

#include "grid/crypto/password.h"

namespace lafs::fs {
namespace {

const std::string key_text =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHmH3lCmsPOOzXJCLi5rRfJDd1O9Z6Vg2YwCMSnqHQSz";
const std::string other_key_text =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHmH3lCmsPOOzXJCLi5rRfJDd1O9Z6Vg2YwCMSnqHQS0";

Accounts some_accounts() {
  const auto hash = grid::hash_password("pw", grid::PasswordCost::least);
  return *Accounts::parse("old clear tahoe:\n[a]\nroot = tahoe:\npassword = " + hash +
                          "\n[k]\nroot = tahoe:\nkey = " + key_text + "\n");
}

TEST_CASE("only the right password of an account that has one lets in") {
  Pool pool(1);
  run([](Pool& threads) -> Task<> {
    Login login(co_await asio::this_coro::executor, threads, some_accounts(), {});
    const auto attempt = [](std::string account) {
      return Login::Attempt{"sftp", "192.0.2.1", std::move(account)};
    };
    const auto a = attempt("a"), old = attempt("old"), k = attempt("k"), nobody = attempt("nobody");
    const std::string empty, right = "pw", clear = "clear";
    auto good = co_await login.by_password(a, right);
    CHECK(good);
    auto wrong = co_await login.by_password(a, clear);
    CHECK(wrong.error().code == Errc::unauthorized);
    // The right one is remembered, and only that.
    good = co_await login.by_password(a, right);
    CHECK(good);
    wrong = co_await login.by_password(a, empty);
    CHECK_FALSE(wrong);
    good = co_await login.by_password(old, clear);
    CHECK(good);
    wrong = co_await login.by_password(old, right);
    CHECK_FALSE(wrong);
    wrong = co_await login.by_password(k, empty);
    CHECK_FALSE(wrong);
    wrong = co_await login.by_password(nobody, empty);
    CHECK_FALSE(wrong);
  }(pool));
}

TEST_CASE("an address that guessed is refused even with the right password") {
  Pool pool(1);
  run([](Pool& threads) -> Task<> {
    Login::Options options;
    options.guesses.address_limit = 2;
    Login login(co_await asio::this_coro::executor, threads, some_accounts(), options);
    const Login::Attempt attempt{"sftp", "192.0.2.1", "a"}, elsewhere{"ftp", "192.0.2.2", "a"};
    const std::string wrong = "x", right = "pw";
    CHECK(login.may_connect("192.0.2.1"));
    for (int i = 0; i < 2; ++i) {
      auto answer = co_await login.by_password(attempt, wrong);
      CHECK_FALSE(answer);
    }
    auto answer = co_await login.by_password(attempt, right);
    CHECK_FALSE(answer);
    CHECK_FALSE(login.may_connect("192.0.2.1"));
    answer = co_await login.by_password(elsewhere, right);
    CHECK(answer);
  }(pool));
}

TEST_CASE("a key lets into its own account, from the accounts file or an authorized_keys file") {
  Pool pool(1);
  run([](Pool& threads) -> Task<> {
    Login login(co_await asio::this_coro::executor, threads, some_accounts(), {});
    const auto key = *PublicKey::parse(key_text), other = *PublicKey::parse(other_key_text);
    const Login::Attempt k{"sftp", "192.0.2.1", "k"}, a{"sftp", "192.0.2.1", "a"};
    CHECK(login.knows_key(k, key));
    CHECK_FALSE(login.knows_key(k, other));
    CHECK(login.by_key(k, key));
    CHECK_FALSE(login.by_key(k, other));
    CHECK_FALSE(login.by_key(a, key));
  }(pool));
}

TEST_CASE("the accounts file is read again when it changes, and kept when it breaks") {
  char name[] = "/tmp/lafs-login-XXXXXX";
  ::close(::mkstemp(name));
  const auto write = [&](std::string_view text, int age) {
    std::ofstream(name) << text;
    std::filesystem::last_write_time(
        name, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(age));
  };
  Pool pool(1);
  asio::any_io_executor none;
  write("[a]\nroot = x:\n", 60);
  run([](Pool& threads, const char* file, decltype(write)& put) -> Task<> {
    auto login = Login::open(co_await asio::this_coro::executor, threads, file, {});
    REQUIRE(login);
    CHECK((*login)->accounts()->find("a"));
    put("[b]\nroot = x:\n", 30);
    co_await sleep_for(std::chrono::milliseconds(1010));
    CHECK((*login)->accounts()->find("b"));
    put("[broken\n", 10);
    co_await sleep_for(std::chrono::milliseconds(1010));
    CHECK((*login)->accounts()->find("b"));
  }(pool, name, write));
  ::unlink(name);
}

}  // namespace
}  // namespace lafs::fs
