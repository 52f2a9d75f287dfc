// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/sparse_bytes.h"

#include <catch2/catch.hpp>
#include <random>

using namespace lafs;

TEST_CASE("sparse bytes are what a string of the same history is") {
  std::mt19937 random(3);
  fs::SparseBytes sparse;
  std::string model;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t offset = random() % 400'000;
    if (random() % 8 == 0) {
      sparse.resize(offset);
      model.resize(offset);
    } else if (random() % 2) {
      const std::string data(random() % 3000, static_cast<char>(1 + i % 255));
      const auto expected = sparse.stored() + sparse.growth(offset, data.size());
      sparse.write(offset, as_bytes(data));
      REQUIRE(sparse.stored() == expected);
      if (!data.empty() && model.size() < offset + data.size()) model.resize(offset + data.size());
      if (!data.empty()) model.replace(offset, data.size(), data);
    } else {
      const auto expected = offset < model.size() ? model.substr(offset, 150'000) : "";
      REQUIRE(as_text(sparse.read(offset, 150'000)) == expected);
    }
    REQUIRE(sparse.size() == model.size());
    REQUIRE(sparse.stored() <= model.size());
  }
}

TEST_CASE("holes cost nothing, however far the end is") {
  fs::SparseBytes sparse;
  sparse.write(1ull << 50, as_bytes("x"));
  CHECK(sparse.size() == (1ull << 50) + 1);
  CHECK(sparse.stored() <= 64 * 1024);
  CHECK(sparse.read((1ull << 50) - 2, 10) == Bytes{0, 0, 'x'});
  sparse.resize(10);
  CHECK(sparse.stored() == 0);
  CHECK(sparse.read(0, 100) == Bytes(10));
}
