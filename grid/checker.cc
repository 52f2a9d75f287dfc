// SPDX-License-Identifier: Apache-2.0
#include "grid/checker.h"

#include "grid/immutable/file_checker.h"
#include "grid/immutable/placement.h"

namespace lafs::grid {

std::uint64_t happiness_of(const CheckReport& report) {
  std::map<std::string, ServerNo> numbers;
  ShareMap shares;
  for (auto& [share, servers] : report.shares) {
    for (auto& server : servers) {
      shares[share].insert(numbers.try_emplace(server, numbers.size()).first->second);
    }
  }
  return happiness(shares);
}

Task<Result<CheckReport>> check(Client& client, Cap cap, CheckOptions options) {
  CheckReport report;
  if (cap.is_literal()) {
    report.literal = true;
    report.verified = true;
    co_return report;
  }
  if (const auto* chk = cap.as<ChkCap>()) cap = Cap(verifier_of(*chk));
  if (const auto* chk = cap.as<ChkVerifyCap>()) {
    CO_TRY(found,
           co_await check_immutable(client.roster(), client.pool(), client.options().lease_secret,
                                    *chk, std::move(options)));
    report = std::move(found);
  } else {
    CO_TRY(found, co_await client.check_mutable(std::move(cap), std::move(options)));
    report = std::move(found);
    report.happiness = happiness_of(report);
    // Tahoe places mutable shares without regard to happiness, and so do we.
    co_return report;
  }
  report.happiness = happiness_of(report);
  // A file of few shares cannot be on more servers than it has shares.
  report.wanted_happiness = std::min(client.options().encoding.happy, report.n);
  co_return report;
}

}  // namespace lafs::grid
