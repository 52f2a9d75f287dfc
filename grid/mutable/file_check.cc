// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/file_check.h"

#include "grid/mutable/mutable_state.h"

namespace lafs::grid {

namespace {

// Shares that are read at the same time.
constexpr std::uint64_t verified_side_by_side = 10;

struct Verifying {
  const Slot& slot;
  ServerMap& map;
  CheckReport& report;
  std::optional<Key16> write_key;
  std::shared_ptr<Throttle> throttle;
  Limiter turns;
};

Task<> verify(Verifying& v, SharePlace place) {
  const auto turn = co_await v.turns.acquire();
  const auto found = v.map.shares().at(place);
  auto good = co_await verify_share(v.slot, place, found, v.write_key, v.throttle);
  if (good) co_return;
  if (good.error().code == Errc::corrupt) {
    v.slot.report(place, good.error().context);
    v.map.bad(place, found.start, good.error().context);
  } else if (good.error().code != Errc::cancelled) {
    v.report.failed[v.slot.id(place.server)] = good.error().message();
  }
}

Task<> renew(const Slot& slot, storage::KnownServer known, LeaseSecrets lease) {
  // Servers without shares say not_found; others' failures are the next renewal's business.
  (void)co_await within(slot.deadline, "renewing a lease",
                        known.server->add_lease(slot.si, std::move(lease)));
}

void fill_in(CheckReport& report, const Slot& slot, const ServerMap& map) {
  report.recoverable_versions = map.recoverable().size();
  report.unrecoverable_versions = map.unrecoverable().size();
  if (const auto best = map.best()) {
    report.k = best->geometry().k;
    report.n = best->geometry().n;
    for (const auto& place : map.places(*best)) {
      report.shares[place.number].insert(slot.id(place.server));
    }
  }
  for (const auto& [place, bad] : map.bad_shares()) {
    report.corrupt.push_back({slot.id(place.server), place.number, bad.reason});
  }
  for (const auto server : map.answered()) report.answered.insert(slot.id(server));
  for (const auto& [server, error] : map.failed()) {
    report.failed[slot.id(server)] = error.message();
  }
}

}  // namespace

Task<Result<CheckReport>> check_mutable(asio::any_io_executor executor, MutableContext context,
                                        Cap cap, CheckOptions options) {
  const auto verifier = cap.verifier();
  const auto* named = verifier ? verifier->as<MutableVerifyCap>() : nullptr;
  if (!named) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto si = named->storage_index;
  CorruptionReports reports(executor);
  SignatureCheck signatures(named->fingerprint);
  Slot slot{
      executor,         context.pool,    reports, signatures, si, servers_for(context.roster, si),
      options.deadline, context.patience};
  MapSearch::Options search;
  search.mode = MapMode::check;
  search.k = context.k;
  search.n = context.n;
  auto map = co_await update_map(slot, std::move(search));
  CheckReport report;
  report.k = context.k;
  report.n = context.n;
  report.verified = options.verify;
  TaskGroup group(executor);
  if (options.add_lease) {
    for (const auto& known : slot.servers) {
      group.spawn(renew(slot, known, lease_secrets(context.lease_secret, si, known.lease_seed)));
    }
  }
  std::optional<Key16> write_key;
  if (const auto* write = cap.as<MutableWriteCap>()) write_key = write->write_key;
  Verifying verifying{
      slot, map, report, write_key, options.throttle, Limiter(executor, verified_side_by_side)};
  const auto seen = map.best();
  if (options.verify && seen) {
    for (const auto& place : map.places(*seen)) group.spawn(verify(verifying, place));
  }
  co_await group.join();
  co_await reports.close();
  const bool stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled, "checking a file");
  fill_in(report, slot, map);
  co_return report;
}

}  // namespace lafs::grid
