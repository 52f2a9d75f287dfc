// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/publish.h"

#include "grid/base/process_metrics.h"

namespace lafs::grid {

namespace {

// The state of one publish; outlives its tasks, which are joined.
struct Publishing {
  const Slot& slot;
  const EncodedVersion& version;
  PublishPlan plan;
  bool stopped = false;
};

storage::TestVector test_for(const Bytes& expected) {
  // Reads past the end are cut: one byte asked for and none there means no share, or an empty one.
  if (expected.empty()) return {0, 1, {}};
  return {0, expected.size(), expected};
}

Task<> write_share(Publishing& p, PublishPlan::Write write) {
  const auto& known = p.slot.servers[write.place.server.value];
  storage::ReadTestWrite request;
  storage::ShareChange change;
  change.tests.push_back(test_for(write.expected));
  if (p.version.patches.empty()) {
    change.writes.push_back({0, p.version.shares[write.place.number.value]});
  } else {
    change.writes = p.version.patches[write.place.number.value];
  }
  request.changes.emplace(write.place.number, std::move(change));
  request.reads.push_back({0, PublishPlan::read_size});
  const auto secrets = p.slot.secrets_for(write.place.server);
  Result<storage::ReadTestWriteReply> reply;
  for (int attempt = 0; attempt < 2; ++attempt) {
    // When the first attempt was carried out and only its reply lost, the second one's test fails,
    // and the plan recognises our own share in the answer.
    reply = co_await within(p.slot.deadline, "writing to " + known.name(),
                            known.server->read_test_write(p.slot.si, secrets, request));
    if (p.stopped || reply || !worth_a_retry(reply.error())) break;
  }
  if (p.stopped && !reply) reply = fail(Errc::timed_out, "writing to " + known.name());
  if (p.slot.facts && (!reply || !reply->success)) p.slot.facts->doubt(known.id);
  p.plan.answered(write, reply);
}

// Whether it works changes nothing for us: the new version is safe without it.
Task<> delete_share(Publishing& p, PublishPlan::Write write) {
  storage::ReadTestWrite request;
  storage::ShareChange change;
  change.tests.push_back(test_for(write.expected));
  change.new_length = 0;
  request.changes.emplace(write.place.number, std::move(change));
  const auto secrets = p.slot.secrets_for(write.place.server);
  (void)co_await within(
      p.slot.deadline, "deleting from " + p.slot.name(write.place.server),
      p.slot.server(write.place.server).read_test_write(p.slot.si, secrets, std::move(request)));
}

struct Survey {
  std::set<ServerNo> willing;
  std::size_t answers = 0;
  bool stopped = false;
};

bool has_room(const storage::ServerVersion& version, std::uint64_t share_size) {
  return version.available_space >= share_size && version.max_mutable_share_size >= share_size;
}

Task<> ask_space(const Slot& slot, ServerNo no, std::uint64_t share_size, Survey& survey) {
  auto version =
      co_await within(slot.deadline, "asking " + slot.name(no), slot.server(no).version());
  if (version && slot.facts) slot.facts->learn(slot.id(no), *version, Clock::now());
  if (survey.stopped) co_return;
  ++survey.answers;
  if (version && has_room(*version, share_size)) survey.willing.insert(no);
}

// Servers that answered and have room, in permuted order. A silent one is not waited for when
// `wanted` others are willing.
Task<std::vector<ServerNo>> find_takers(const Slot& slot, const ServerMap& map,
                                        std::uint64_t share_size, std::size_t wanted,
                                        std::size_t most_asked) {
  Survey survey;
  TaskGroup group(slot.executor);
  const bool new_file = map.answered().empty();
  std::size_t asked = 0;
  for (std::uint64_t i = 0; i < slot.servers.size() && asked < most_asked; ++i) {
    const ServerNo no{i};
    if (!new_file && !map.answered().contains(no)) continue;
    ++asked;
    if (const auto known = slot.facts ? slot.facts->find(slot.id(no), Clock::now())
                                      : std::optional<storage::ServerVersion>()) {
      if (has_room(*known, share_size)) survey.willing.insert(no);
      continue;
    }
    group.spawn(ask_space(slot, no, share_size, survey));
  }
  auto last_answer = Clock::now();
  std::size_t seen = 0;
  while (group.running() > 0) {
    if (survey.answers > seen) {
      seen = survey.answers;
      last_answer = Clock::now();
    }
    const bool stop = co_await stop_requested();
    const bool patient =
        survey.willing.size() < wanted || Clock::now() < last_answer + slot.patience;
    if (stop || !patient) break;
    const auto until =
        survey.willing.size() < wanted ? TimePoint::max() : last_answer + slot.patience;
    co_await group.wait_one(until);
  }
  survey.stopped = true;
  group.cancel();
  co_await group.join();
  co_return std::vector<ServerNo>(survey.willing.begin(), survey.willing.end());
}

}  // namespace

namespace {
struct Figures {
  metrics::Registry& all = metrics::of_process();
  metrics::Histogram& seconds =
      all.histogram("lafs_mutable_publish_seconds", "How long publishing a version took.",
                    metrics::latency_bounds());
  metrics::Counter& collisions =
      all.counter("lafs_mutable_collisions_total", "Publishes that met another writer's version.");
  metrics::Counter& failed =
      all.counter("lafs_mutable_publish_failures_total", "Publishes that failed otherwise.");
};

Figures& figures() {
  static Figures out;
  return out;
}
}  // namespace

Task<Published> publish(const Slot& slot, const ServerMap& map, EncodedVersion version) {
  const metrics::Timed timed(figures().seconds);
  const auto& g = version.header.geometry();
  std::set<ShareNo> housed;
  for (const auto& [place, share] : map.shares()) {
    if (place.number.value < g.n) housed.insert(place.number);
  }
  for (const auto& [place, share] : map.bad_shares()) {
    if (place.number.value < g.n) housed.insert(place.number);
  }
  // Space is asked for when a share needs a new home, or may come to need one.
  std::vector<ServerNo> takers;
  const bool complete = housed.size() >= g.n && map.failed().empty();
  if (!complete && version.patches.empty()) {
    takers = co_await find_takers(slot, map, version.header.offsets().end, g.k, g.n + g.k);
  }
  Publishing p{slot, version, PublishPlan(map, version.header, std::move(takers))};
  TaskGroup group(slot.executor);
  auto last_answer = Clock::now();
  std::size_t running = 0;
  while (true) {
    for (auto& write : p.plan.next()) group.spawn(write_share(p, std::move(write)));
    if (group.running() != running) {
      running = group.running();
      last_answer = Clock::now();
    }
    if (running == 0) break;
    const bool stop = co_await stop_requested();
    const auto patience_ends = last_answer + 4 * slot.patience;
    if (stop || (p.plan.mostly_written() && Clock::now() >= patience_ends)) break;
    co_await group.wait_one(p.plan.mostly_written() ? patience_ends : TimePoint::max());
  }
  p.stopped = true;
  group.cancel();
  co_await group.join();
  for (auto& write : p.plan.leftovers()) group.spawn(delete_share(p, std::move(write)));
  co_await group.join();
  Published out{p.plan.outcome(), p.plan.doubtful()};
  if (!out.outcome) {
    const bool met = out.outcome.error().code == Errc::collision;
    (met ? figures().collisions : figures().failed).add();
  }
  if (p.plan.complete()) {
    const auto header = std::make_shared<const ShareHeader>(version.header);
    out.known.emplace();
    for (const auto& place : p.plan.written()) {
      const auto& share = version.patches.empty() ? version.shares[place.number.value] : Bytes();
      const auto kept = ByteView(share).first(std::min(share.size(), ShareHeader::first_read));
      out.known->found(place, {header, to_bytes(kept), false});
      out.known->answered(place.server);
    }
  }
  co_return out;
}

}  // namespace lafs::grid
