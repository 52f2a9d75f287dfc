// SPDX-License-Identifier: Apache-2.0
// share_files.json: files that Tahoe's storage server wrote are read, and written again to the
// byte.
#include <catch2/catch.hpp>

#include "grid/server/collection.h"
#include "grid/server/disk.h"
#include "grid/server/mutable_slot.h"
#include "grid/server/share_file.h"
#include "grid/server/share_tree.h"
#include "tests/grid/server/disk_fixture.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::test;

namespace {

const json::value& vectors() {
  static const json::value all = load_vectors("share_files.json");
  return all;
}

Secret32 secret(const json::value& hex_text) { return Secret32(hex_array<32>(hex_text)); }

LeaseSecrets secrets_of(std::size_t i) {
  const auto& all = at(vectors(), "secrets");
  return {secret(group(all, "renew_hex").at(i)), secret(group(all, "cancel_hex").at(i))};
}

LeaseSeed node_id() { return hex_array<20>(vectors(), "nodeid_hex"); }
Secret32 enabler() { return secret(at(at(vectors(), "secrets"), "write_enabler_hex")); }

const json::value& file_named(std::string_view name) {
  for (const auto& f : group(vectors(), "files")) {
    if (text(f, "name") == name) return f;
  }
  throw std::runtime_error("no such vector: " + std::string(name));
}

std::uint32_t expiration_of(const json::value& file, std::size_t lease) {
  return static_cast<std::uint32_t>(
      number(group(at(file, "parsed"), "leases").at(lease), "expiration"));
}

// Where two files begin to differ; nothing when they are equal.
std::optional<std::size_t> difference(const Bytes& a, const Bytes& b) {
  const auto at = std::ranges::mismatch(a, b).in1 - a.begin();
  if (a == b) return std::nullopt;
  return static_cast<std::size_t>(at);
}

// Which of the known clients a file's lease belongs to.
std::size_t client_of(const json::value& file, std::size_t lease) {
  const auto& known =
      group(group(at(file, "parsed"), "leases").at(lease), "matches_renew_secret_hex");
  for (std::size_t i = 0; i < 8; ++i) {
    if (text(known.at(0)) == to_hex(secrets_of(i).renew.view())) return i;
  }
  throw std::runtime_error("a lease of nobody");
}

void check_leases(const json::array& expected, const std::vector<Lease>& actual,
                  ContainerVersion version) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto& e = expected[i];
    CHECK(actual[i].owner == number(e, "owner"));
    CHECK(actual[i].expiration == number(e, "expiration"));
    if (has(e, "nodeid_hex")) CHECK(to_hex(actual[i].node_id) == text(e, "nodeid_hex"));
    for (const auto& known : group(e, "matches_renew_secret_hex")) {
      CHECK(has_renew_secret(actual[i], version, secret(known)));
    }
    for (const auto& known : group(e, "matches_cancel_secret_hex")) {
      CHECK(has_cancel_secret(actual[i], version, secret(known)));
    }
    CHECK_FALSE(has_renew_secret(actual[i], version, Secret32{}));
  }
}

}  // namespace

TEST_CASE("vectors: every share file is read as Tahoe reads it") {
  TemporaryDirectory dir;
  const auto path = dir.path() / "share";
  int immutables = 0;
  int mutables = 0;
  int damaged = 0;
  for (const auto& f : group(vectors(), "files")) {
    CAPTURE(text(f, "name"));
    if (!has(f, "file_b64")) continue;  // deleted
    write_file(path, b64(f, "file_b64"));
    auto file = File::open(path);
    REQUIRE(file);
    auto is_mutable = is_mutable_share(*file);
    REQUIRE(is_mutable);
    const auto& parsed = at(f, "parsed");
    if (has(parsed, "error")) {
      CHECK_FALSE(*is_mutable);
      auto share = ShareFile::open(path);
      REQUIRE_FALSE(share);
      CHECK(share.error().code == Errc::corrupt);
      ++damaged;
      continue;
    }
    REQUIRE(*is_mutable == (text(parsed, "type") == "mutable"));
    const auto data = b64(parsed, "data_b64");
    const auto& leases = at(parsed, "leases").as_array();
    if (*is_mutable) {
      auto slot = MutableSlot::open(path);
      REQUIRE(slot);
      CHECK(static_cast<std::uint64_t>(slot->version()) == number(parsed, "version"));
      CHECK(slot->data_length() == number(parsed, "data_length"));
      CHECK(slot->extra_lease_offset() == number(parsed, "extra_lease_offset"));
      CHECK(slot->extra_lease_count().value() == number(parsed, "extra_lease_count"));
      CHECK(to_hex(slot->write_enabler().view()) == text(parsed, "write_enabler_hex"));
      CHECK(to_hex(slot->node_id()) == text(parsed, "write_enabler_nodeid_hex"));
      CHECK(slot->read(0, 1 << 20).value() == data);
      check_leases(leases, slot->leases().value(), slot->version());
      ++mutables;
    } else {
      auto share = ShareFile::open(path);
      REQUIRE(share);
      CHECK(static_cast<std::uint64_t>(share->version()) == number(parsed, "version"));
      CHECK(share->data_length() == number(parsed, "data_length"));
      CHECK(share->read(0, 1 << 20).value() == data);
      check_leases(leases, share->leases().value(), share->version());
      ++immutables;
    }
  }
  CHECK(immutables > 5);
  CHECK(mutables > 5);
  CHECK(damaged > 3);
}

TEST_CASE("vectors: the leases of Tahoe's share files run out one by one, then the share goes") {
  TemporaryDirectory dir;
  const ShareTree tree(dir.path());
  Disk disk(false);
  ExpiryPolicy policy;
  policy.enabled = true;
  std::size_t collected = 0;
  for (const auto& f : group(vectors(), "files")) {
    CAPTURE(text(f, "name"));
    if (!has(f, "file_b64") || has(at(f, "parsed"), "error")) continue;
    const StorageIndex si{};
    const auto path = tree.share(si, ShareNo{0});
    write_file(path, b64(f, "file_b64"));
    const auto data = b64(at(f, "parsed"), "data_b64");
    std::vector<std::int64_t> ends;
    for (const auto& lease : at(at(f, "parsed"), "leases").as_array()) {
      ends.push_back(static_cast<std::int64_t>(number(lease, "expiration")));
    }
    if (ends.empty()) {
      REQUIRE(collect_bucket(disk, tree, si, policy, true, std::int64_t{1} << 40));
      CHECK(std::filesystem::exists(path));  // never leased: nobody says that it may go
      std::filesystem::remove(path);
      continue;
    }
    std::ranges::sort(ends);
    for (const auto end : ends) {
      const auto left = static_cast<std::size_t>(
          std::ranges::count_if(ends, [&](std::int64_t other) { return other > end; }));
      const auto report = collect_bucket(disk, tree, si, policy, true, end + 1);
      REQUIRE(report);
      if (left == 0) {
        CHECK_FALSE(std::filesystem::exists(path));
        break;
      }
      REQUIRE(report->left.size() == 1);
      CHECK(report->left.at(ShareNo{0}).leases.size() == left);
      if (auto share = ShareFile::open(path); share) {
        CHECK(share->read(0, 1 << 20).value() == data);
      } else {
        auto slot = MutableSlot::open(path);
        REQUIRE(slot);
        CHECK(slot->read(0, 1 << 20).value() == data);
      }
    }
    ++collected;
  }
  CHECK(collected > 10);
}

TEST_CASE("vectors: the life of an immutable share is written to the byte") {
  TemporaryDirectory dir;
  Disk disk(false);
  const auto path = dir.path() / "0";
  const auto expect = [&](const json::value& f) {
    INFO(text(f, "name"));
    CHECK(difference(read_file(path), b64(f, "file_b64")) == std::nullopt);
  };
  const auto data = plaintext(at(vectors(), "immutable_share_data"));
  const auto& empty = file_named("immutable v2 in progress, nothing written");
  constexpr auto v2 = ContainerVersion::hashed_secrets;
  auto share = ShareFile::create(disk, path, data.size(),
                                 make_lease(v2, 0, expiration_of(empty, 0), secrets_of(0)));
  REQUIRE(share);
  expect(empty);
  REQUIRE(share->write(disk, 10, ByteView(data).subspan(10, 20)));
  expect(file_named("immutable v2 in progress, partly written"));
  REQUIRE(share->write(disk, 0, data));
  expect(file_named("immutable v2, one lease"));

  const auto& two = file_named("immutable v2, two leases");
  REQUIRE(share->add_or_renew(disk, secrets_of(1), 1, expiration_of(two, 1)));
  expect(two);
  const auto& renewed = file_named("immutable v2, first lease renewed");
  REQUIRE(share->add_or_renew(disk, secrets_of(0), 1, expiration_of(renewed, 0)));
  expect(renewed);
  REQUIRE(share->add_or_renew(disk, secrets_of(0), 1, expiration_of(renewed, 0) - 1));
  expect(renewed);  // an earlier expiration changes nothing
  const auto& later = file_named("immutable v2, lease from a later allocation");
  REQUIRE(share->add_or_renew(disk, secrets_of(client_of(later, 2)), 0, expiration_of(later, 2)));
  expect(later);
  const auto& seven = file_named("immutable v2, seven leases");
  for (std::size_t i = 3; i < 7; ++i) {
    REQUIRE(share->add_or_renew(disk, secrets_of(client_of(seven, i)), 1, expiration_of(seven, i)));
  }
  expect(seven);
  CHECK(share->cancel(disk, 1).value() == 6);
  expect(file_named("immutable v2, second lease cancelled"));
  CHECK(ShareFile::open(path)->read(0, 1000).value() == data);
}

TEST_CASE("vectors: leases of a version 1 share stay in clear") {
  TemporaryDirectory dir;
  Disk disk(false);
  const auto path = dir.path() / "0";
  write_file(path, b64(file_named("immutable v1, one lease"), "file_b64"));
  const auto& two = file_named("immutable v1, two leases");
  auto share = ShareFile::open(path, true);
  REQUIRE(share);
  REQUIRE(share->add_or_renew(disk, secrets_of(1),
                              number(group(at(two, "parsed"), "leases").at(1), "owner"),
                              expiration_of(two, 1)));
  CHECK(difference(read_file(path), b64(two, "file_b64")) == std::nullopt);
  const auto& renewed = file_named("immutable v1, first lease renewed");
  REQUIRE(share->add_or_renew(disk, secrets_of(0), 1, expiration_of(renewed, 0)));
  CHECK(difference(read_file(path), b64(renewed, "file_b64")) == std::nullopt);
}

TEST_CASE("vectors: the life of a mutable share is written to the byte") {
  TemporaryDirectory dir;
  Disk disk(false);
  const auto path = dir.path() / "0";
  const auto expect = [&](const json::value& f) {
    INFO(text(f, "name"));
    CHECK(difference(read_file(path), b64(f, "file_b64")) == std::nullopt);
  };
  auto file = disk.create(path);
  REQUIRE(file);
  auto slot = MutableSlot::create(disk, std::move(*file), node_id(), enabler());
  REQUIRE(slot);
  const auto lease = [&](std::size_t who, std::uint32_t until) {
    REQUIRE(slot->add_or_renew(disk, secrets_of(who), node_id(), until));
  };
  const auto data_of = [](const json::value& f) { return b64(at(f, "parsed"), "data_b64"); };

  const auto& created = file_named("mutable v2: created and written");
  REQUIRE(slot->write(disk, 0, data_of(created)));
  lease(0, expiration_of(created, 0));
  expect(created);
  const auto& hole = file_named("mutable v2: hole");
  REQUIRE(slot->write(disk, 80, ByteView(data_of(hole)).subspan(80)));
  lease(0, expiration_of(hole, 0));
  expect(hole);
  const auto& truncated = file_named("mutable v2: truncated");
  REQUIRE(slot->truncate(disk, 30));
  lease(0, expiration_of(truncated, 0));
  expect(truncated);
  const auto& behind = file_named("mutable v2: written again behind the end");
  REQUIRE(slot->write(disk, 40, ByteView(data_of(behind)).subspan(40)));
  lease(0, expiration_of(behind, 0));
  expect(behind);
  const auto& six = file_named("mutable v2: six leases");
  for (std::size_t i = 1; i < 6; ++i) lease(client_of(six, i), expiration_of(six, i));
  expect(six);
  const auto& grown = file_named("mutable v2: grown with extra leases");
  // Which range was written is not recorded: what differs between the two states.
  const auto before = data_of(six);
  const auto after = data_of(grown);
  std::size_t from = 0;
  while (from < before.size() && before[from] == after[from]) ++from;
  REQUIRE(slot->write(disk, from, ByteView(after).subspan(from)));
  lease(0, expiration_of(grown, 0));
  expect(grown);
  const auto& renewed = file_named("mutable v2: renewed by another write");
  REQUIRE(slot->write(disk, 0, data_of(renewed)));
  lease(client_of(renewed, 3), expiration_of(renewed, 3));
  expect(renewed);
  CHECK(slot->cancel(disk, secrets_of(1).cancel).value() == 5);
  expect(file_named("mutable v2: second lease cancelled"));
  const auto& refilled = file_named("mutable v2: lease added after a cancellation");
  lease(client_of(refilled, 1), expiration_of(refilled, 1));
  expect(refilled);
}

TEST_CASE("vectors: version 1 mutable shares stay version 1") {
  TemporaryDirectory dir;
  Disk disk(false);
  const auto path = dir.path() / "0";
  write_file(path, b64(file_named("mutable v1, empty"), "file_b64"));
  auto slot = MutableSlot::open(path, true);
  REQUIRE(slot);
  const auto& one = file_named("mutable v1, one lease");
  REQUIRE(slot->write(disk, 0, b64(at(one, "parsed"), "data_b64")));
  REQUIRE(slot->add_or_renew(disk, secrets_of(0), node_id(), expiration_of(one, 0)));
  CHECK(difference(read_file(path), b64(one, "file_b64")) == std::nullopt);
  const auto& six = file_named("mutable v1, six leases");
  for (std::size_t i = 1; i < 6; ++i) {
    REQUIRE(slot->add_or_renew(disk, secrets_of(i), node_id(), expiration_of(six, i)));
  }
  CHECK(difference(read_file(path), b64(six, "file_b64")) == std::nullopt);
  CHECK(slot->cancel(disk, secrets_of(2).cancel).value() == 5);
  CHECK(difference(read_file(path), b64(file_named("mutable v1, third lease cancelled"),
                                        "file_b64")) == std::nullopt);
}

TEST_CASE("vectors: single lease records") {
  for (const auto& r : group(vectors(), "lease_records")) {
    const LeaseSecrets secrets{secret(at(r, "renew_secret_hex")),
                               secret(at(r, "cancel_secret_hex"))};
    const auto owner = static_cast<std::uint32_t>(number(r, "owner"));
    const auto until = static_cast<std::uint32_t>(number(r, "expiration"));
    const auto node = hex_array<20>(r, "nodeid_hex");
    const auto v1 = make_lease(ContainerVersion::clear_secrets, owner, until, secrets, node);
    const auto v2 = make_lease(ContainerVersion::hashed_secrets, owner, until, secrets, node);
    CHECK(to_hex(encode_immutable_lease(v1)) == text(r, "immutable_v1_hex"));
    CHECK(to_hex(encode_immutable_lease(v2)) == text(r, "immutable_v2_hex"));
    CHECK(to_hex(encode_mutable_lease(v1)) == text(r, "mutable_v1_hex"));
    CHECK(to_hex(encode_mutable_lease(v2)) == text(r, "mutable_v2_hex"));
    CHECK(to_hex(v2.renew) == text(r, "renew_blake2b_hex"));
    const auto raw = encode_mutable_lease(v2);
    CHECK(decode_mutable_lease(std::span<const std::uint8_t, 92>(raw)) == v2);
  }
}

TEST_CASE("vectors: headers and magics") {
  for (const auto& h : group(vectors(), "immutable_headers")) {
    CHECK(to_hex(immutable_header(static_cast<ContainerVersion>(number(h, "version")),
                                  number(h, "allocated_size"))) == text(h, "header_hex"));
  }
  const auto& magic = at(vectors(), "mutable_magic_hex");
  CHECK(to_hex(mutable_magic(ContainerVersion::clear_secrets)) == text(magic, "1"));
  CHECK(to_hex(mutable_magic(ContainerVersion::hashed_secrets)) == text(magic, "2"));
}

TEST_CASE("vectors: paths of shares") {
  const ShareTree tree("");
  for (const auto& p : group(vectors(), "paths")) {
    const StorageIndex si{hex_array<16>(p, "storage_index_hex")};
    CHECK(si.text() == text(p, "storage_index"));
    const ShareNo n{number(p, "share_number")};
    CHECK(tree.share(si, n).string() == text(p, "path"));
    CHECK(tree.incoming_share(si, n).string() == text(p, "path_while_uploading"));
  }
}

TEST_CASE("vectors: corruption advisories") {
  for (const auto& a : group(vectors(), "advisories")) {
    const auto name = text(a, "file_name");
    const auto content = text(a, "content");
    // 2026-11-22T081407.310805--<storage index>-<number>
    std::tm utc{};
    REQUIRE(::strptime(name.c_str(), "%Y-%m-%dT%H%M%S", &utc));
    const auto at_second = std::chrono::system_clock::from_time_t(::timegm(&utc));
    const auto when = at_second + std::chrono::microseconds(std::stol(name.substr(18, 6)));
    const auto si = StorageIndex::from_text(name.substr(26, 26));
    REQUIRE(si);
    const ShareNo number{std::stoull(name.substr(53))};
    CHECK(advisory_name(when, *si, number) == name);
    const auto kind = content.find("type: mutable") != std::string::npos ? ShareKind::mutable_
                                                                         : ShareKind::immutable;
    const auto blank = content.find("\n\n");
    const auto reason = content.substr(blank + 2, content.size() - blank - 4);
    CHECK(advisory_text(kind, *si, number, reason) == content);
  }
}
