// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/accounts.h"

#include <catch2/catch.hpp>

#include "grid/crypto/password.h"

namespace lafs::fs {
namespace {

const std::string ed25519 =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHmH3lCmsPOOzXJCLi5rRfJDd1O9Z6Vg2YwCMSnqHQSz";
const std::string cap = "URI:DIR2:aaaaaaaaaaaaaaaaaaaaaaaaaa:bbbbbbbbbbbbbbbbbbbbbbbbbb";

TEST_CASE("Tahoe's accounts file is read as it is") {
  auto accounts =
      Accounts::parse("# name key cap\n\nalice " + ed25519 + " " + cap + "\nbob  secret " + cap +
                      "\ncarol " + ed25519 + " carol@host " + cap + "\r\n");
  REQUIRE(accounts);
  REQUIRE(accounts->all().size() == 3);
  const auto* alice = accounts->find("alice");
  REQUIRE(alice);
  REQUIRE(alice->keys.size() == 1);
  CHECK(alice->keys[0].type == "ssh-ed25519");
  CHECK(alice->password.empty());
  CHECK(alice->root == cap);
  CHECK(accounts->find("bob")->password == "secret");
  CHECK(accounts->find("bob")->clear);
  CHECK(accounts->find("carol")->keys[0].comment == "carol@host");
  CHECK(accounts->find("carol")->root == cap);
  CHECK_FALSE(accounts->find("dave"));
}

TEST_CASE("our sections hold everything, and come back as they were") {
  const auto hash = grid::hash_password("pw", grid::PasswordCost::least);
  const std::string text =
      "# the family\n[alice]\nroot = tahoe:alice\nhome = /docs\npassword = " + hash +
      "\nkey = " + ed25519 + " alice@laptop\nkey = " + ed25519 +
      "\nauthorized_keys = /home/alice/.ssh/authorized_keys\n"
      "read_only = yes\nquota = 5000000000\n\n[bob]\nroot = tahoe:\n";
  auto accounts = Accounts::parse(text);
  REQUIRE(accounts);
  const auto* alice = accounts->find("alice");
  CHECK(alice->home == "/docs");
  CHECK(alice->keys.size() == 2);
  CHECK(alice->key_files == std::vector<std::string>{"/home/alice/.ssh/authorized_keys"});
  CHECK(alice->read_only);
  CHECK(alice->quota == 5'000'000'000);
  CHECK_FALSE(accounts->find("bob")->read_only);
  CHECK(accounts->text() == text);
}

TEST_CASE("a mistake in the accounts file is named by its line") {
  const auto error = [](const std::string& text) {
    auto accounts = Accounts::parse(text);
    REQUIRE_FALSE(accounts);
    CHECK(accounts.error().code == Errc::bad_config);
    return accounts.error().context;
  };
  CHECK(error("[a]\nroot = x:\nreadonly = yes\n").starts_with("line 3: there is no setting"));
  CHECK(error("[a]\nroot = x:\nread_only = maybe\n").starts_with("line 3"));
  CHECK(error("[a]\nroot = x:\n[a]\nroot = x:\n").find("account a") != std::string::npos);
  CHECK(error("[a]\nhome = /\n").find("no root") != std::string::npos);
  CHECK(error("[a]\nroot = x:\npassword = open\n").find("accounts passwd") != std::string::npos);
  CHECK(error("[a]\nroot = x:\nkey = ssh-ed25519 AAAA\n").find("damaged") != std::string::npos);
  CHECK(error("alice password\n").starts_with("line 1"));
  CHECK(error("alice " + ed25519 + "\n").starts_with("line 1"));
  CHECK(error("[a/b]\nroot = x:\n").starts_with("line 1"));
}

TEST_CASE("an authorized_keys line with a restriction that we do not keep lets nobody in") {
  const auto keys = AuthorizedKeys::parse("# mine\n" + ed25519 + " one\n" + "restrict,no-pty " +
                                          ed25519 + " two\n" + "from=\"10.0.0.1, 10.0.0.2\" " +
                                          ed25519 + "\n" + "command=\"rm -rf /\" " + ed25519 +
                                          "\n" + "command=\"internal-sftp\",restrict " + ed25519 +
                                          "\n" + "from=\"open " + ed25519 + "\nssh-dss AAAA\n");
  CHECK(keys.keys.size() == 3);
  REQUIRE(keys.skipped.size() == 4);
  CHECK(keys.skipped[0] == "line 4: option from is not supported");
  CHECK(keys.skipped[2] == "line 7: a quote is not closed");
}

TEST_CASE("an account can be added and removed, its comment goes with it") {
  auto accounts = Accounts::parse("# one\n[a]\nroot = x:\n# two\n[b]\nroot = y:\n# end\n");
  REQUIRE(accounts);
  Account c;
  c.name = "c";
  c.root = "z:";
  REQUIRE(accounts->add(c));
  CHECK(accounts->add(c).error().code == Errc::exists);
  c.name = "d\n[root]";
  CHECK(accounts->add(c).error().code == Errc::bad_argument);
  CHECK(accounts->remove("a"));
  CHECK_FALSE(accounts->remove("a"));
  CHECK(accounts->text() == "# two\n[b]\nroot = y:\n\n[c]\nroot = z:\n# end\n");
}

TEST_CASE("a password fits its own hash only, and a hash must be cheap enough to check") {
  const auto hash = grid::hash_password("correct horse", grid::PasswordCost::least);
  CHECK(grid::check_password(hash, "correct horse"));
  CHECK_FALSE(grid::check_password(hash, "correct horse "));
  CHECK_FALSE(grid::check_password("", ""));
  CHECK(hash != grid::hash_password("correct horse", grid::PasswordCost::least));
  CHECK(grid::is_password_hash(grid::nobodys_password()));
  CHECK_FALSE(grid::is_password_hash("$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdA$aGFzaA"));
  CHECK_FALSE(grid::is_password_hash("$argon2id$v=19$m=65536,t=1000000,p=1$c2FsdA$aGFzaA"));
}

}  // namespace
}  // namespace lafs::fs
