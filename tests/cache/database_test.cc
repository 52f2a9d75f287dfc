// SPDX-License-Identifier: Apache-2.0
#include "cache/database.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <random>

#include "tests/cache/scratch.h"

using namespace lafs;
using lafs::cache::Database;

TEST_CASE("a database whose last pages were given back is whole") {
  // LMDB does not write pages that one transaction takes and gives back, so that the file may end
  // before the last page that it counts: that is no damage.
  unsigned shorter = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const cache::Scratch scratch;
    const auto path = scratch.path() + "/test.mdb";
    const Database::Options options{.map_bytes = 1u << 28, .databases = 2};
    {
      auto made = Database::open(path, options);
      REQUIRE(made.has_value());
      auto table = (*made)->database("t");
      REQUIRE(table.has_value());
      std::minstd_rand random(seed);
      const auto key = [](unsigned i) {
        Bytes out;
        append_be<std::uint64_t>(out, i);
        return out;
      };
      for (unsigned t = 0; t < 6; ++t) {
        auto txn = (*made)->write();
        REQUIRE(txn.has_value());
        const auto count = 200 + random() % 600;
        const Bytes value(random() % 2 ? random() % 600 : 2100 + random() % 4000, 1);
        if (t == 0) CHECK(txn->put(*table, key(1u << 20), value));
        for (unsigned i = 0; i < count; ++i) CHECK(txn->put(*table, key(i), value));
        for (unsigned i = 0; i < count; ++i) CHECK(txn->remove(*table, key(i)));
        CHECK(txn->commit());
      }
    }
    const auto before = std::filesystem::file_size(path);
    auto again = Database::open(path, options);
    REQUIRE(again.has_value());
    shorter += std::filesystem::file_size(path) > before;
    auto table = (*again)->database("t");
    REQUIRE(table.has_value());
    auto txn = (*again)->read();
    REQUIRE(txn.has_value());
    CHECK(txn->entries(*table) == 1u);
  }
  CHECK(shorter > 0);  // else this test tests nothing
}
