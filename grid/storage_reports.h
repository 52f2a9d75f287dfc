// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an operator asks about a storage directory, also while its server runs: how much is stored
// for whom, what the collector would remove or has removed, what clients reported as damaged.
// Blocking, mostly: for commands.

#include "grid/base/offload.h"
#include "grid/node_dir.h"
#include "grid/server/advisories.h"
#include "grid/server/collector_state.h"

namespace lafs::grid {

// A client whose leases are to be told from others': whoever runs the server knows its lease
// secret (private/secret of the client's node directory), because it is his own or was given it.
struct LeaseAccount {
  std::string name;
  Secret32 secret;
};

struct UsageReport {
  bool complete = false;  // false: not all shares have been walked over since the index was made
  storage::ByKind totals;
  storage::ByKind expired;  // what a collection would remove now
  storage::ByKind without_leases;
  std::uint64_t leases = 0;
  storage::LeaseAges ages;
  std::string policy;
  bool policy_enabled = false;
  // Shares by account; a share that several hold a lease on counts for each. The last one, without
  // a name: shares that none of the accounts holds.
  std::vector<std::pair<std::string, storage::Amount>> accounts;
  std::optional<storage::CollectionCycle> last_walk;

  std::string json() const;
};

// From the usage index. Errc::not_found: there is none yet.
Result<UsageReport> storage_usage(const NodeDir& node, const std::vector<LeaseAccount>& accounts,
                                  std::int64_t now);

// Makes the usage index anew from the share files. The server does not run.
Result<> rebuild_usage(const NodeDir& node);

// Looks at the shares of these reports (Advisory::file) and notes what it finds. The server does
// not run.
Task<Result<>> check_advisories(asio::any_io_executor executor, Pool& pool, const NodeDir& node,
                                std::vector<std::string> files);

// A walk over all shares, at once. `remove`: collects, if the policy is enabled; the server does
// not run then.
Result<storage::CollectionCycle> walk_shares(const NodeDir& node,
                                             const storage::ExpiryPolicy& policy, bool remove,
                                             std::int64_t now);

}  // namespace lafs::grid
