// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collector_state.h"

#include <boost/json.hpp>
#include <fstream>
#include <iterator>

#include "grid/base/log.h"
#include "grid/server/collection_json.h"
#include "grid/server/disk.h"

namespace lafs::grid::storage {

namespace {

namespace json = boost::json;

constexpr const char* file_name = "lafs-collector.json";

std::filesystem::path file_of(const std::filesystem::path& storage_directory) {
  return storage_directory / file_name;
}

json::object to_json(const CollectionCycle& c) {
  return {{"number", c.number},   {"started", c.started}, {"finished", c.finished},
          {"enabled", c.enabled}, {"policy", c.policy},   {"tally", to_json(c.tally)}};
}

// These throw what Boost.JSON throws; parse() turns that into an error.
std::uint64_t number(const json::object& o, const char* key) {
  return o.at(key).to_number<std::uint64_t>();
}
Amount amount(const json::object& o, const char* key) {
  const auto& a = o.at(key).as_object();
  return {number(a, "shares"), number(a, "bytes"), number(a, "disk_bytes")};
}
ByKind by_kind(const json::object& o, const char* key) {
  const auto& k = o.at(key).as_object();
  return {amount(k, "immutable"), amount(k, "mutable")};
}

CollectionCycle cycle_of(const json::value& v) {
  const auto& o = v.as_object();
  CollectionCycle c;
  c.number = number(o, "number");
  c.started = o.at("started").to_number<std::int64_t>();
  c.finished = o.at("finished").to_number<std::int64_t>();
  c.enabled = o.at("enabled").as_bool();
  c.policy = o.at("policy").as_string();
  const auto& t = o.at("tally").as_object();
  c.tally.buckets = number(t, "buckets");
  c.tally.examined = by_kind(t, "examined");
  c.tally.expired = by_kind(t, "expired");
  c.tally.removed = by_kind(t, "removed");
  c.tally.leases = number(t, "leases");
  c.tally.leases_expired = number(t, "leases_expired");
  c.tally.leases_removed = number(t, "leases_removed");
  c.tally.without_leases = number(t, "shares_without_leases");
  const auto& ages = t.at("lease_ages").as_array();
  for (std::size_t i = 0; i < std::min(ages.size(), c.tally.ages.leases.size()); ++i) {
    c.tally.ages.leases[i] = number(ages[i].as_object(), "leases");
  }
  c.tally.unreadable = number(t, "unreadable");
  for (const auto& name : t.at("unreadable_shares").as_array()) {
    c.tally.unreadable_shares.emplace_back(name.as_string());
  }
  c.tally.failed = number(t, "failed");
  return c;
}

}  // namespace

std::uint64_t CollectorState::next_number() const {
  std::uint64_t last = current ? current->number : 0;
  for (const auto& cycle : history) last = std::max(last, cycle.number);
  return last + 1;
}

void CollectorState::finish(std::int64_t now) {
  if (!current) return;
  current->finished = now;
  add(std::move(*current));
  current.reset();
  behind.reset();
}

void CollectorState::add(CollectionCycle cycle) {
  history.push_back(std::move(cycle));
  if (history.size() > most_history) history.erase(history.begin());
}

std::string CollectorState::text() const {
  json::object out{{"version", 1}};
  if (current) out["current"] = to_json(*current);
  if (behind) out["behind"] = behind->text();
  json::array past;
  for (const auto& cycle : history) past.push_back(to_json(cycle));
  out["history"] = std::move(past);
  return json::serialize(out) + "\n";
}

Result<CollectorState> CollectorState::parse(std::string_view text) {
  try {
    const auto value = json::parse(json::string_view(text.data(), text.size()));
    const auto& o = value.as_object();
    if (number(o, "version") != 1) return fail(Errc::corrupt, "a state of another version");
    CollectorState out;
    if (const auto* current = o.if_contains("current")) out.current = cycle_of(*current);
    if (const auto* behind = o.if_contains("behind")) {
      out.behind = StorageIndex::from_text(std::string_view(behind->as_string()));
    }
    for (const auto& cycle : o.at("history").as_array()) out.history.push_back(cycle_of(cycle));
    return out;
  } catch (const std::exception& e) {
    return fail(Errc::corrupt, std::string("not a collector's state: ") + e.what());
  }
}

CollectorState CollectorState::load(const std::filesystem::path& storage_directory) {
  std::ifstream in(file_of(storage_directory), std::ios::binary);
  if (!in) return {};
  const std::string text(std::istreambuf_iterator<char>(in), {});
  auto state = parse(text);
  if (state) return std::move(*state);
  log::warning(file_of(storage_directory).string() + " is not used: " + state.error().message());
  return {};
}

Result<> CollectorState::save(const std::filesystem::path& storage_directory) const {
  const auto path = file_of(storage_directory);
  auto next = path;
  next += ".next";
  Disk disk(false);
  TRY(file, disk.create(next));
  TRY_DO(disk.write(file, 0, as_bytes(text())));
  return disk.rename(next, path);
}

Result<CollectionCycle> parse_cycle(std::string_view object, std::string_view member) {
  try {
    const auto value = json::parse(json::string_view(object.data(), object.size()));
    return cycle_of(value.as_object().at(json::string_view(member.data(), member.size())));
  } catch (const std::exception& e) {
    return fail(Errc::corrupt, std::string("not a report of a walk: ") + e.what());
  }
}

std::string cycle_json(const CollectionCycle& cycle) { return json::serialize(to_json(cycle)); }

}  // namespace lafs::grid::storage
