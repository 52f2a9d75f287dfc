// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/publish.h"

namespace lafs::grid {

namespace {

// The state of one publish; outlives its tasks, which are joined.
struct Publishing {
  const Slot& slot;
  const PublishSecrets& secrets;
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
  change.writes.push_back({0, p.version.shares[write.place.number.value]});
  request.changes.emplace(write.place.number, std::move(change));
  request.reads.push_back({0, PublishPlan::read_size});
  storage::MutableSecrets secrets{
      write_enabler(p.secrets.write_key, known.lease_seed),
      lease_secrets(p.secrets.lease_secret, p.slot.si, known.lease_seed)};
  Result<storage::ReadTestWriteReply> reply;
  for (int attempt = 0; attempt < 2; ++attempt) {
    // When the first attempt was carried out and only its reply lost, the second one's test fails,
    // and the plan recognises our own share in the answer.
    reply = co_await within(p.slot.deadline, "writing to " + known.name(),
                            known.server->read_test_write(p.slot.si, secrets, request));
    if (p.stopped || reply || !worth_a_retry(reply.error())) break;
  }
  if (p.stopped) reply = fail(Errc::timed_out, "writing to " + known.name());
  p.plan.answered(write, reply);
}

struct Survey {
  std::set<ServerNo> willing;
  std::size_t answers = 0;
  bool stopped = false;
};

Task<> ask_space(const Slot& slot, ServerNo no, std::uint64_t share_size, Survey& survey) {
  auto version =
      co_await within(slot.deadline, "asking " + slot.name(no), slot.server(no).version());
  if (survey.stopped) co_return;
  ++survey.answers;
  if (version && version->available_space >= share_size &&
      version->max_mutable_share_size >= share_size) {
    survey.willing.insert(no);
  }
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

Task<Published> publish(const Slot& slot, const ServerMap& map, PublishSecrets secrets,
                        EncodedVersion version) {
  const auto& g = version.header.geometry();
  std::set<ShareNo> housed;
  for (const auto& [place, share] : map.shares()) housed.insert(place.number);
  for (const auto& [place, share] : map.bad_shares()) housed.insert(place.number);
  // Space is asked for when a share needs a new home, or may come to need one.
  std::vector<ServerNo> takers;
  const bool complete = housed.size() >= g.n && map.failed().empty();
  if (!complete) {
    takers = co_await find_takers(slot, map, version.shares[0].size(), g.k, g.n + g.k);
  }
  Publishing p{slot, secrets, version, PublishPlan(map, version.header, std::move(takers))};
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
  co_return Published{p.plan.outcome(), p.plan.doubtful()};
}

}  // namespace lafs::grid
