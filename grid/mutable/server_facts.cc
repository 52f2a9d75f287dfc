// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/server_facts.h"

namespace lafs::grid {

std::optional<storage::ServerVersion> ServerFacts::find(const std::string& server,
                                                        TimePoint now) const {
  const auto it = facts_.find(server);
  if (it == facts_.end() || now >= it->second.until) return std::nullopt;
  return it->second.version;
}

void ServerFacts::learn(const std::string& server, storage::ServerVersion version, TimePoint now) {
  facts_.insert_or_assign(server, Fact{std::move(version), now + believed_});
}

}  // namespace lafs::grid
