// SPDX-License-Identifier: Apache-2.0
// Known answers of Tahoe nodes for sets of shares on servers: several versions, damaged shares.

#include <catch2/catch.hpp>

#include "grid/mutable/map_update.h"
#include "grid/mutable/mutable_file.h"
#include "grid/mutable/retrieve.h"
#include "tests/fake/fake_grid.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::test;
using fake::FakeGrid;

namespace {

const json::value& vectors() {
  static const json::value all = load_vectors("mutable.json");
  return all;
}

std::string sha(ByteView bytes) { return to_hex(sha256(bytes)); }

using Versions = std::multiset<std::pair<std::uint64_t, std::string>>;

Versions versions_of(const json::value& list) {
  Versions out;
  for (const auto& v : list.as_array()) out.emplace(number(v.at(0)), text(v.at(1)));
  return out;
}
Versions versions_of(const std::vector<ServerMap::Version>& list) {
  Versions out;
  for (const auto& v : list) out.emplace(v->id().seqnum, to_hex(v->id().root_hash));
  return out;
}

// What a client concludes about the shares on a grid.
struct Conclusion {
  Result<MutableContents> read;
  Versions recoverable;
  Versions unrecoverable;
  std::optional<std::uint64_t> best_seqnum;
  std::set<std::uint64_t> damaged;  // share numbers, by header, signature, body or key
  std::set<std::uint64_t> good;     // of the best version, body and private key included
};

Task<Conclusion> conclude(FakeGrid& grid, Pool& pool, Cap cap) {
  auto executor = co_await asio::this_coro::executor;
  MutableContext context{grid.roster(), pool, Secret32(), 3, 10};
  Conclusion out;
  MutableFile file(executor, context, *cap.read_only());
  out.read = co_await file.read();
  co_await file.close();

  const auto* write = cap.as<MutableWriteCap>();
  CorruptionReports reports(executor);
  SignatureCheck signatures(write->fingerprint);
  const auto si = *cap.storage_index();
  Slot slot{executor,
            pool,
            reports,
            signatures,
            si,
            {},
            std::chrono::seconds(5),
            std::chrono::seconds(1)};
  for (const auto* server : grid.roster().permuted(si)) slot.servers.push_back(*server);
  MapSearch::Options options;
  options.mode = MapMode::check;
  auto map = co_await update_map(slot, options);
  out.recoverable = versions_of(map.recoverable());
  out.unrecoverable = versions_of(map.unrecoverable());
  for (const auto& [place, bad] : map.bad_shares()) out.damaged.insert(place.number.value);
  if (const auto best = map.best()) out.best_seqnum = best->id().seqnum;
  for (const auto& [place, found] : map.shares()) {
    auto share = co_await slot.server(place.server)
                     .read(storage::ShareKind::mutable_, si, place.number, 0, 1 << 20);
    REQUIRE(share);
    const auto key = private_key_in(*found.header, *share);
    const bool good = check_body(*found.header, *share, place.number) && key &&
                      decrypt_private_key(*key, write->write_key);
    if (!good) out.damaged.insert(place.number.value);
    if (good && map.best() && *map.best() == *found.header) out.good.insert(place.number.value);
  }
  co_await reports.close();
  co_return out;
}

Cap cap_of(const json::value& file) {
  auto cap = Cap::parse_known(text(file, "write_cap"));
  REQUIRE(cap);
  return *cap;
}

bool reads_well(const json::value& outcome) { return text(outcome, "read") == "ok"; }

Bytes edited(Bytes share, const json::value& edit, const std::map<std::uint64_t, Bytes>& all) {
  if (has(edit, "xor")) {
    const auto bytes = hex(at(edit, "xor"), "bytes_hex");
    const auto offset = number(at(edit, "xor"), "offset");
    for (std::size_t i = 0; i < bytes.size(); ++i) share.at(offset + i) ^= bytes[i];
  } else if (has(edit, "set")) {
    const auto bytes = hex(at(edit, "set"), "bytes_hex");
    std::copy(bytes.begin(), bytes.end(),
              share.begin() + static_cast<long>(number(at(edit, "set"), "offset")));
  } else if (has(edit, "truncate")) {
    share.resize(number(at(edit, "truncate"), "length"));
  } else if (has(edit, "append")) {
    append(share, hex(at(edit, "append"), "bytes_hex"));
  } else {
    share = all.at(number(edit, "copy_of_share"));
  }
  return share;
}

}  // namespace

TEST_CASE("of several versions the same one wins as with Tahoe") {
  Pool pool(1);
  for (const auto& file : group(vectors(), "mixed")) {
    INFO(text(file, "title"));
    FakeGrid grid({.servers = 10});
    const auto cap = cap_of(file);
    for (const auto& share : group(file, "shares")) {
      grid.server(number(share, "server"))
          .put_share(*cap.storage_index(), ShareNo{number(share, "share")}, b64(share, "data_b64"),
                     storage::ShareKind::mutable_);
    }
    const auto out = run(conclude(grid, pool, cap));
    const auto& expected = at(file, "outcome");
    CHECK(out.read.has_value() == reads_well(expected));
    if (reads_well(expected)) {
      CHECK(sha(*out.read->bytes) == text(expected, "plaintext_sha256"));
      CHECK(out.read->version.seqnum == number(expected, "best_version_seqnum"));
    } else {
      CHECK(out.read.error().code == Errc::not_enough_shares);
    }
    CHECK(out.recoverable == versions_of(at(expected, "recoverable_versions")));
    CHECK(out.unrecoverable == versions_of(at(expected, "unrecoverable_versions")));
    CHECK(out.damaged.empty());
  }
}

TEST_CASE("a damaged share is noticed where Tahoe notices it, or earlier") {
  Pool pool(1);
  std::map<std::string, const json::value*> files;
  for (const auto& file : group(vectors(), "files")) files[text(file, "name")] = &file;
  for (const auto& damage : group(vectors(), "corruptions")) {
    const auto& file = *files.at(text(damage, "base"));
    const auto title = text(damage, "title");
    INFO(text(damage, "base") << ": " << title);
    const auto cap = cap_of(file);
    std::map<std::uint64_t, Bytes> shares;
    for (const auto& share : group(file, "shares")) {
      shares[number(share, "share")] = b64(share, "data_b64");
    }
    const auto hit = number(damage, "share");
    const auto broken = edited(shares.at(hit), at(damage, "edit"), shares);
    REQUIRE(sha(broken) == text(damage, "edited_sha256"));

    std::set<std::uint64_t> present;
    for (const auto& share : at(damage, "present").as_array()) present.insert(number(share));
    for (const bool exact : {false, true}) {
      INFO((exact ? "exactly k shares" : "all shares"));
      FakeGrid grid({.servers = 10});
      for (const auto& [number_of, bytes] : shares) {
        if (exact && !present.contains(number_of)) continue;
        grid.server(number_of).put_share(*cap.storage_index(), ShareNo{number_of},
                                         number_of == hit ? broken : bytes,
                                         storage::ShareKind::mutable_);
      }
      const auto out = run(conclude(grid, pool, cap));
      const auto& expected = at(damage, exact ? "outcome_exact" : "outcome_all");
      // Where Tahoe's judgement depends on which answer comes first, the share is bad for us.
      const bool order_dependent = flag(damage, "order_dependent");
      const bool readable = reads_well(expected) && !(exact && order_dependent);
      CHECK(out.read.has_value() == readable);
      if (out.read) {
        CHECK(sha(*out.read->bytes) == text(file, "plaintext_sha256"));
      } else {
        CHECK(out.read.error().code == Errc::not_enough_shares);
      }
      if (!order_dependent) {
        CHECK(out.recoverable == versions_of(at(expected, "recoverable_versions")));
      }
      // The share that was edited is the only one to be found bad, and is when Tahoe finds it so.
      const auto& verify = at(expected, "verify");
      bool reference_objects =
          order_dependent || !at(expected, "rejected_by_map_update").as_array().empty() ||
          !at(verify, "corrupt").as_array().empty() ||
          at(expected, "unrecoverable_versions").as_array().size() > (exact ? 1u : 0u);
      reference_objects = reference_objects || title == "truncated to 0 bytes";
      CHECK(out.good.contains(hit) ==
            (!reference_objects && !at(expected, "recoverable_versions").as_array().empty()));
      for (const auto number_of : out.damaged) CHECK(number_of == hit);
      if (!exact && !order_dependent) CHECK(out.good.size() == number(verify, "good_shares"));
    }
  }
}
