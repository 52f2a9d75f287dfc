// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/identity.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "grid/storage/tls.h"
#include "tests/grid/storage/temporary_directory.h"

using namespace lafs;
using namespace lafs::grid::storage;

TEST_CASE("a new identity can be saved, loaded again and keeps its names") {
  test::TemporaryDirectory dir;
  auto first = Identity::load_or_create(dir.path() / "node.pem");
  REQUIRE(first);
  CHECK(first->tub_id().size() == 32);
  CHECK(first->pin().size() == 43);
  CHECK(first->pem().starts_with("-----BEGIN CERTIFICATE-----"));
  CHECK(first->pem().find("-----BEGIN PRIVATE KEY-----") != std::string::npos);
  auto second = Identity::load_or_create(dir.path() / "node.pem");
  REQUIRE(second);
  CHECK(second->tub_id() == first->tub_id());
  CHECK(second->pin() == first->pin());
  CHECK(second->pem() == first->pem());
  struct stat facts{};
  REQUIRE(::stat((dir.path() / "node.pem").c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  CHECK_FALSE(std::filesystem::exists(dir.path() / "node.pem.new"));
}

TEST_CASE("a node.pem with a part missing or of another node is refused") {
  const auto a = Identity::generate();
  const auto b = Identity::generate();
  const auto key_at = a.pem().find("-----BEGIN PRIVATE KEY-----");
  for (const std::string& pem :
       {std::string(), std::string("nonsense"), a.pem().substr(0, key_at), a.pem().substr(key_at),
        a.pem().substr(0, key_at) + b.pem().substr(b.pem().find("-----BEGIN PRIVATE KEY-----"))}) {
    auto identity = Identity::from_pem(pem);
    REQUIRE_FALSE(identity);
    CHECK(identity.error().code == Errc::bad_config);
  }
  CHECK(Identity::load("/nonexistent/node.pem").error().code == Errc::not_found);
}

TEST_CASE("a certificate is accepted only with its own pin and a good signature") {
  const auto a = Identity::generate();
  const auto b = Identity::generate();
  CHECK(check_pin(a.certificate(), a.pin()));
  CHECK(check_pin(a.certificate(), b.pin()).error().code == Errc::wrong_certificate);
  CHECK_FALSE(check_pin({}, a.pin()));
  CHECK_FALSE(check_pin(as_bytes("nonsense"), a.pin()));
  // The last byte belongs to the signature: the key, and so the pin, stay the same.
  auto forged = a.certificate();
  forged.back() ^= 1;
  REQUIRE(pin_of_certificate(forged) == a.pin());
  CHECK_FALSE(check_pin(forged, a.pin()));
}
