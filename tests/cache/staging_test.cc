// SPDX-License-Identifier: Apache-2.0
#include "cache/staging.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/cache/scratch.h"

using namespace lafs;
using cache::StagedFile;

namespace {
Bytes noise(std::size_t n, std::mt19937& rng) {
  Bytes out(n);
  for (auto& b : out) b = static_cast<std::uint8_t>(rng());
  return out;
}
}  // namespace

TEST_CASE("a staged file reads back what a plain byte string would, after any operations") {
  std::mt19937 rng(3);
  for (int round = 0; round < 30; ++round) {
    Bytes old = noise(rng() % 40'000, rng);  // the content being changed
    auto file = StagedFile::create("/tmp", old.size()).value();
    Bytes plain = old;
    for (int step = 0; step < 60; ++step) {
      const auto choice = rng() % 10;
      const std::uint64_t at = rng() % 50'000;
      if (choice < 5) {
        auto data = noise(rng() % 9'000, rng);
        REQUIRE(file->write(at, data).has_value());
        if (!data.empty()) {
          if (plain.size() < at + data.size()) plain.resize(at + data.size());
          std::copy(data.begin(), data.end(), plain.begin() + static_cast<std::ptrdiff_t>(at));
        }
      } else if (choice < 7) {
        file->truncate(at);
        plain.resize(at);
      } else {
        const auto length =
            std::min<std::uint64_t>(rng() % 20'000, at < plain.size() ? plain.size() - at : 0);
        for (auto gap : file->missing(at, length)) {
          REQUIRE(gap.end <= old.size());
          REQUIRE(file->fill(gap.begin, ByteView(old).subspan(gap.begin, gap.size())).has_value());
        }
        REQUIRE(file->missing(at, length).empty());
        Bytes out(length);
        REQUIRE(file->read(at, out).has_value());
        REQUIRE(
            equal(out, ByteView(plain).subspan(std::min<std::size_t>(at, plain.size()), length)));
      }
      REQUIRE(file->size() == plain.size());
    }
  }
}

TEST_CASE("what was cut off does not come back when the file grows again") {
  auto file = StagedFile::create("/tmp", 0).value();
  REQUIRE(file->write(0, to_bytes("secret words")).has_value());
  file->truncate(3);
  file->truncate(12);
  Bytes out(12);
  REQUIRE(file->read(0, out).has_value());
  CHECK(as_text(out) == std::string_view("sec\0\0\0\0\0\0\0\0\0", 12));
}

TEST_CASE("every change gives a staged file a new version") {
  auto file = StagedFile::create("/tmp", 10).value();
  auto before = file->version();
  REQUIRE(file->write(0, to_bytes("x")).has_value());
  CHECK(file->version() > before);
  before = file->version();
  file->truncate(4);
  CHECK(file->version() > before);
  before = file->version();
  REQUIRE(file->fill(1, to_bytes("abc")).has_value());
  CHECK(file->version() == before);  // fetched, not changed
}

TEST_CASE("a directory that is not there is named in the error") {
  auto made = StagedFile::create("/nonexistent/place", 0);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().context.find("/nonexistent/place") != std::string::npos);
}

namespace {
// A directory of staging files, and what is in it.
struct Directory {
  Directory() { open(); }
  void open() {
    staging.reset();
    journal.reset();
    journal =
        cache::Journal::open(io.get_executor(), disk,
                             {.directory = scratch.path() + "/journal", .node_secret = secret})
            .value();
    staging = cache::Staging::open(
                  disk, journal->dirty(),
                  {.directory = scratch.path() + "/staging", .node_secret = secret, .budget = {}})
                  .value();
  }
  std::vector<std::string> names() { return disk.names_in(scratch.path() + "/staging").value(); }
  // Another one that was written, closed, and is not needed any more.
  void make_a_spare() {
    auto file = staging->create(0).value();
    REQUIRE(file->write(0, Bytes(10'000, 7)).has_value());
    const auto id = file->id();
    file.reset();
    REQUIRE(staging->empty(id).has_value());
    staging->add_spare(id);
  }

  const grid::Secret32 secret = *grid::Secret32::from(Bytes(32, 9));
  asio::io_context io;
  cache::Disk disk;
  cache::Scratch scratch;
  std::unique_ptr<cache::Journal> journal;
  std::unique_ptr<cache::Staging> staging;
};
}  // namespace

TEST_CASE("a file that was emptied holds the next content, also after a restart") {
  Directory directory;
  directory.make_a_spare();
  const bool restarted = GENERATE(false, true);
  if (restarted) directory.open();
  CHECK(directory.staging->ids().value().empty());
  auto file = directory.staging->create(0, "next").value();
  CHECK(directory.names().size() == 1);
  CHECK(directory.staging->ids().value() == std::vector{file->id()});
  REQUIRE(file->write(5000, to_bytes("abc")).has_value());
  Bytes all(5003);
  REQUIRE(file->read(0, all).has_value());
  Bytes expected(5000);
  append(expected, as_bytes("abc"));
  CHECK(all == expected);
  CHECK(directory.staging->salvage(file->id()).value().label == "next");
}

TEST_CASE("a spare with something in it is not used") {
  Directory directory;
  directory.make_a_spare();
  const auto spare = directory.names().at(0);
  std::ofstream(directory.scratch.path() + "/staging/" + spare) << "somebody's";
  auto file = directory.staging->create(0).value();
  CHECK(directory.names().size() == 1);
  CHECK(file->size() == 0);
  CHECK(directory.staging->salvage(file->id()).value().memory.local.empty());
}

TEST_CASE("spares are not kept without end") {
  Directory directory;
  const auto wanted = directory.staging->spares_wanted();
  CHECK(wanted > 100);
  directory.make_a_spare();
  CHECK(directory.staging->spares_wanted() == wanted - 1);
}
