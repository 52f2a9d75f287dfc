// SPDX-License-Identifier: Apache-2.0
#include "grid/server/expiry.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "grid/server/leases.h"

namespace lafs::grid::storage {

bool ExpiryPolicy::expired(ShareKind kind, std::uint32_t expiration, std::int64_t now) const {
  if (!(kind == ShareKind::immutable ? immutable : mutable_)) return false;
  const auto granted = std::int64_t{expiration} - lease_duration;
  return mode == Mode::age ? now - granted > max_age : granted < cutoff;
}

std::string ExpiryPolicy::text() const {
  constexpr std::int64_t day = 24 * 3600;
  std::string out;
  if (mode == Mode::cutoff_date) {
    out = fmt::format("leases last renewed before {:%Y-%m-%d}",
                      fmt::gmtime(static_cast<std::time_t>(cutoff)));
  } else if (max_age % day == 0) {
    out = fmt::format("leases older than {} days", max_age / day);
  } else {
    out = fmt::format("leases older than {} seconds", max_age);
  }
  if (!immutable) out += ", mutable shares only";
  if (!mutable_) out += ", immutable shares only";
  return out;
}

}  // namespace lafs::grid::storage
