// SPDX-License-Identifier: Apache-2.0
#include "cache/health.h"

#include "grid/checker.h"

namespace lafs::cache {

Task<bool> lost(grid::Client& client, grid::Cap cap, Errc why) {
  if (why != Errc::not_found && why != Errc::not_enough_shares && why != Errc::corrupt)
    co_return false;
  grid::CheckOptions options;
  auto report = co_await grid::check(client, std::move(cap), std::move(options));
  co_return report && !report->recoverable() && report->failed.empty() && !report->answered.empty();
}

Task<Result<std::string>> health(grid::Client& client, grid::Cap cap) {
  grid::CheckOptions options;
  CO_TRY(report, co_await grid::check(client, std::move(cap), std::move(options)));
  co_return report.summary();
}

}  // namespace lafs::cache
