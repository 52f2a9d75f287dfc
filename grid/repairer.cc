// SPDX-License-Identifier: Apache-2.0
#include "grid/repairer.h"

namespace lafs::grid {

namespace {

Task<Result<CheckReport>> repair(Client&, Cap, CheckReport) {
  co_return fail(Errc::unsupported, "repairing this kind of file");
}

}  // namespace

Task<Result<RepairReport>> check_and_repair(Client& client, Cap cap, CheckOptions options) {
  RepairReport out;
  CO_TRY(before, co_await check(client, cap, options));
  out.before = std::move(before);
  if (!out.before.needs_repair()) co_return out;
  out.attempted = true;
  auto after = co_await repair(client, std::move(cap), out.before);
  if (after) {
    out.after = std::move(*after);
  } else {
    if (after.error().code == Errc::cancelled) co_return std::unexpected(std::move(after).error());
    out.error = std::move(after).error();
  }
  co_return out;
}

}  // namespace lafs::grid
