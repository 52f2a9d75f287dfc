// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collection_json.h"

#include <boost/json.hpp>

namespace lafs::grid::storage {

namespace json = boost::json;

json::object to_json(const Amount& a) {
  return {{"shares", a.shares}, {"bytes", a.data_bytes}, {"disk_bytes", a.disk_bytes}};
}
json::object to_json(const ByKind& k) {
  return {{"immutable", to_json(k.immutable)}, {"mutable", to_json(k.mutable_)}};
}

json::array to_json(const LeaseAges& a) {
  json::array ages;
  for (std::size_t i = 0; i < a.leases.size(); ++i) {
    json::object age{{"leases", a.leases[i]}};
    if (i < LeaseAges::days.size()) age["below_days"] = LeaseAges::days[i];
    ages.push_back(std::move(age));
  }
  return ages;
}

json::object to_json(const CollectionTally& t) {
  json::array unreadable;
  for (const auto& name : t.unreadable_shares) unreadable.push_back(json::string(name));
  return {{"buckets", t.buckets},
          {"examined", to_json(t.examined)},
          {"expired", to_json(t.expired)},
          {"removed", to_json(t.removed)},
          {"leases", t.leases},
          {"leases_expired", t.leases_expired},
          {"leases_removed", t.leases_removed},
          {"shares_without_leases", t.without_leases},
          {"lease_ages", to_json(t.ages)},
          {"unreadable", t.unreadable},
          {"unreadable_shares", std::move(unreadable)},
          {"failed", t.failed}};
}

}  // namespace lafs::grid::storage
