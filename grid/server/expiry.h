// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which leases have run out, by the settings of tahoe.cfg (spec/storage 7). Decides only.
//
// A lease was granted or last renewed 31 days before it expires; its age counts from then. Tahoe's
// own `age` mode without an override never expires anything, though its documentation promises 31
// days; we do what is promised.

#include <cstdint>
#include <optional>
#include <string>

#include "grid/storage/server.h"

namespace lafs::grid::storage {

struct ExpiryPolicy {
  enum class Mode : std::uint8_t { age, cutoff_date };

  // Off: the collector only reports what would go.
  bool enabled = false;
  Mode mode = Mode::age;
  std::int64_t max_age = 31 * 24 * 3600;  // seconds, for `age`
  std::int64_t cutoff = 0;                // unix seconds, for `cutoff_date`
  bool immutable = true;                  // kinds of shares that may go
  bool mutable_ = true;

  // `expiration`: of the lease, unix seconds.
  bool expired(ShareKind kind, std::uint32_t expiration, std::int64_t now) const;
  // "leases older than 31 days", "leases last renewed before 2026-01-01".
  std::string text() const;
};

}  // namespace lafs::grid::storage
