// SPDX-License-Identifier: Apache-2.0
#include "grid/repairer.h"

namespace lafs::grid {

namespace {

Task<Result<CheckReport>> repair_mutable(Client& client, Cap cap, const CheckReport& before,
                                         CheckOptions options) {
  CO_TRY(file, client.mutable_file(cap));
  MutableFile::Damaged damaged;
  for (const auto& bad : before.corrupt) damaged.emplace(bad.server, bad.number);
  CO_TRY_DO(co_await file->repair(options.force, std::move(damaged)));
  co_return co_await check(client, std::move(cap), std::move(options));
}

Task<Result<CheckReport>> repair_chk(Client& client, ChkVerifyCap cap, CheckReport report) {
  DistrustedShares bad;
  for (auto* shares : {&report.corrupt, &report.incompatible}) {
    for (auto& share : *shares) bad[share.server].insert(share.number);
  }
  CO_TRY(done, co_await repair_immutable(client.upload_context(), cap, std::move(bad)));
  for (auto& [number, servers] : done.servers) report.shares[number].merge(servers);
  report.shares.erase(report.shares.lower_bound(ShareNo{report.n}), report.shares.end());
  report.recoverable_versions = report.shares.size() >= report.k ? 1 : 0;
  report.unrecoverable_versions = 1 - report.recoverable_versions;
  co_return report;
}

Task<Result<CheckReport>> repair(Client& client, Cap cap, CheckReport report) {
  if (const auto* chk = cap.as<ChkCap>()) cap = Cap(verifier_of(*chk));
  if (const auto* chk = cap.as<ChkVerifyCap>()) {
    co_return co_await repair_chk(client, *chk, std::move(report));
  }
  co_return fail(Errc::unsupported, "repairing this kind of file");
}

}  // namespace

Task<Result<RepairReport>> check_and_repair(Client& client, Cap cap, CheckOptions options) {
  RepairReport out;
  CO_TRY(before, co_await check(client, cap, options));
  out.before = std::move(before);
  if (!out.before.needs_repair()) co_return out;
  out.attempted = true;
  Result<CheckReport> after;
  if (cap.is_mutable()) {
    after = co_await repair_mutable(client, std::move(cap), out.before, std::move(options));
  } else {
    after = co_await repair(client, std::move(cap), out.before);
  }
  if (after) {
    after->happiness = happiness_of(*after);
    out.after = std::move(*after);
  } else {
    if (after.error().code == Errc::cancelled) co_return std::unexpected(std::move(after).error());
    out.error = std::move(after).error();
  }
  co_return out;
}

}  // namespace lafs::grid
