// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_reports.h"

#include <boost/json.hpp>

#include "grid/own_share_check.h"
#include "grid/server/collection_json.h"
#include "grid/server/disk.h"
#include "grid/server/disk_server.h"
#include "grid/server/usage_index.h"
#include "grid/storage/identity.h"

namespace lafs::grid {

namespace json = boost::json;
using namespace storage;

namespace {

// Which accounts hold a lease of a share. Their secrets differ for every storage index.
class Holders {
 public:
  Holders(const std::vector<LeaseAccount>& accounts, const LeaseSeed& server)
      : accounts_(accounts), server_(server) {}

  template <class Visit>
  void each(const StorageIndex& si, const ShareFacts& facts, Visit visit) {
    if (!keys_for_ || *keys_for_ != si) {
      keys_for_ = si;
      keys_.clear();
      for (const auto& a : accounts_) {
        keys_.push_back(lease_key(lease_secrets(a.secret, si, server_).renew));
      }
    }
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (std::ranges::find(facts.leases, keys_[i], &LeaseFacts::key) != facts.leases.end()) {
        visit(i);
      }
    }
  }

 private:
  const std::vector<LeaseAccount>& accounts_;
  const LeaseSeed& server_;
  std::optional<StorageIndex> keys_for_;
  std::vector<LeaseKey> keys_;
};

// The walk itself; `seen` learns what is left in every bucket.
Result<CollectionTally> walk(
    const std::filesystem::path& directory, const ExpiryPolicy& policy, bool remove,
    std::int64_t now,
    const std::function<void(const StorageIndex&, const std::map<ShareNo, ShareFacts>&)>& seen) {
  const ShareTree tree(directory);
  Disk disk;
  CollectionTally out;
  for (unsigned prefix = 0; prefix < bucket_prefixes; ++prefix) {
    TRY(buckets, buckets_of(tree, prefix));
    for (const auto& si : buckets) {
      TRY(report, collect_bucket(disk, tree, si, policy, remove, now));
      out.add(report.tally);
      if (seen) seen(si, report.left);
    }
  }
  return out;
}

}  // namespace

Result<UsageReport> storage_usage(const NodeDir& node, const std::vector<LeaseAccount>& accounts,
                                  std::int64_t now) {
  const auto& config = node.storage();
  auto opened = UsageIndex::open_to_read(config.directory);
  if (!opened && opened.error().code == Errc::not_found) {
    return fail(Errc::not_found, "there is no usage index in " + config.directory.string() +
                                     "; it is made while the server runs, or by "
                                     "`lafs storage usage --rebuild`");
  }
  if (!opened) return std::unexpected(opened.error());
  const auto& index = **opened;
  LeaseSeed server{};
  if (!accounts.empty()) {
    TRY(identity, Identity::load(node.private_path("node.pem")));
    server = identity.node_id();
  }
  UsageReport out;
  out.complete = index.complete();
  out.policy = config.expiry.text();
  out.policy_enabled = config.expiry.enabled;
  for (const auto& a : accounts) out.accounts.emplace_back(a.name, Amount{});
  out.accounts.emplace_back("", Amount{});
  Holders holders(accounts, server);
  index.each([&](const StorageIndex& si, ShareNo, const ShareFacts& facts) {
    out.totals.add(facts);
    out.leases += facts.leases.size();
    if (facts.leases.empty()) out.without_leases.add(facts);
    bool all_expired = !facts.leases.empty();
    for (const auto& lease : facts.leases) {
      out.ages.add(lease.expiration, now);
      all_expired = all_expired && config.expiry.expired(facts.kind, lease.expiration, now);
    }
    if (all_expired) out.expired.add(facts);
    bool held = false;
    holders.each(si, facts, [&](std::size_t i) {
      out.accounts[i].second.add(facts);
      held = true;
    });
    if (!held) out.accounts.back().second.add(facts);
    return true;
  });
  auto collector = CollectorState::load(config.directory);
  if (!collector.history.empty()) out.last_walk = std::move(collector.history.back());
  return out;
}

Result<> rebuild_usage(const NodeDir& node) {
  const auto& directory = node.storage().directory;
  const auto index = UsageIndex::make_anew(directory);
  auto done = walk(directory, {}, false, 0,
                   [&](const StorageIndex& si, const auto& shares) { index->set(si, shares); });
  if (!done) return std::unexpected(done.error());
  index->set_complete(true);
  return {};
}

Task<Result<>> check_advisories(asio::any_io_executor executor, Pool& pool, const NodeDir& node,
                                std::vector<std::string> files) {
  DiskServer::Options options;
  options.directory = node.storage().directory;
  options.usage_index = false;
  options.check_share = [&pool](Server& server, ShareKind kind, StorageIndex si, ShareNo number) {
    return check_own_share(server, kind, si, number, pool);
  };
  CO_TRY(disk, DiskServer::open(executor, pool, std::move(options)));
  Result<> out;
  for (auto& file : files) {
    auto checked = co_await disk->check_advisory(std::move(file));
    if (!checked) out = std::unexpected(std::move(checked.error()));
    if (!out) break;
  }
  co_await disk->close();
  co_return out;
}

Result<CollectionCycle> walk_shares(const NodeDir& node, const ExpiryPolicy& policy, bool remove,
                                    std::int64_t now) {
  const auto& directory = node.storage().directory;
  auto state = CollectorState::load(directory);
  CollectionCycle out;
  out.number = state.next_number();
  out.started = now;
  out.enabled = remove && policy.enabled;
  out.policy = policy.text();
  if (!remove) {
    TRY(tally, walk(directory, policy, false, now, {}));
    out.tally = std::move(tally);
    out.finished = now;
    return out;
  }
  const auto index = UsageIndex::open(directory);
  TRY(tally, walk(directory, policy, true, now,
                  [&](const StorageIndex& si, const auto& shares) { index->set(si, shares); }));
  out.tally = std::move(tally);
  state.current = out;
  state.finish(now);
  TRY_DO(state.save(directory));
  return state.history.back();
}

std::string UsageReport::json() const {
  json::array by_account;
  for (const auto& [name, amount] : accounts) {
    auto one = to_json(amount);
    if (name.empty()) {
      one["account"] = nullptr;
    } else {
      one["account"] = name;
    }
    by_account.push_back(std::move(one));
  }
  json::object out{{"complete", complete},
                   {"total", to_json(totals)},
                   {"expired", to_json(expired)},
                   {"without_leases", to_json(without_leases)},
                   {"leases", leases},
                   {"lease_ages", to_json(ages)},
                   {"policy", policy},
                   {"policy_enabled", policy_enabled},
                   {"accounts", std::move(by_account)}};
  if (last_walk) {
    out["last_walk"] = json::parse(cycle_json(*last_walk));
  } else {
    out["last_walk"] = nullptr;
  }
  return json::serialize(out);
}

}  // namespace lafs::grid
