// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/file_checker.h"

#include <boost/asio/this_coro.hpp>

#include "grid/immutable/file_hashes.h"
#include "grid/immutable/share_verifier.h"

namespace lafs::grid {

namespace {

// Of those whose shares are verified at once: each holds a few megabytes of them.
constexpr std::uint64_t servers_at_once = 16;

// A question and its answer on the wire, about.
constexpr std::uint64_t small_exchange = 500;

class Check {
 public:
  Check(asio::any_io_executor executor, Pool& pool, Secret32 lease_secret, ChkVerifyCap cap,
        CheckOptions options)
      : pool_(pool),
        lease_secret_(lease_secret),
        cap_(cap),
        options_(std::move(options)),
        turns_(executor, servers_at_once) {
    report.k = cap.k;
    report.n = cap.n;
    report.verified = options_.verify;
  }

  Task<> ask(storage::KnownServer known) {
    auto& server = *known.server;
    if (options_.throttle) co_await options_.throttle->take(small_exchange);
    if (options_.add_lease) {
      // Servers without shares say not_found; others' failures are the next renewal's business.
      (void)co_await within(
          options_.deadline, "renewing a lease",
          server.add_lease(cap_.storage_index,
                           lease_secrets(lease_secret_, cap_.storage_index, known.lease_seed)));
    }
    auto numbers = co_await within(options_.deadline, "listing shares",
                                   server.list(storage::ShareKind::immutable, cap_.storage_index));
    if (!numbers) {
      report.failed[known.id] = numbers.error().message();
      co_return;
    }
    report.answered.insert(known.id);
    numbers->erase(numbers->lower_bound(ShareNo{cap_.n}), numbers->end());
    if (!options_.verify) {
      for (auto number : *numbers) report.shares[number].insert(known.id);
      co_return;
    }
    const auto turn = co_await turns_.acquire();
    for (auto number : *numbers) {
      const bool stop = co_await stop_requested();
      if (stop) co_return;
      const auto outcome = co_await verify_share(server, cap_, number, pool_, options_);
      note(known, number, outcome);
      if (!outcome && outcome.error().code == Errc::corrupt) {
        (void)co_await within(
            options_.deadline, "reporting a corrupt share",
            server.advise_corrupt(storage::ShareKind::immutable, cap_.storage_index, number,
                                  outcome.error().context));
      }
    }
  }

  CheckReport report;

 private:
  void note(const storage::KnownServer& known, ShareNo number, const Result<>& outcome) {
    if (outcome) {
      report.shares[number].insert(known.id);
    } else if (outcome.error().code == Errc::corrupt) {
      report.corrupt.push_back({known.id, number, outcome.error().context});
    } else if (outcome.error().code == Errc::unsupported) {
      report.incompatible.push_back({known.id, number, outcome.error().context});
    } else if (outcome.error().code != Errc::cancelled) {
      report.failed[known.id] = outcome.error().message();
    }
  }

  Pool& pool_;
  Secret32 lease_secret_;
  ChkVerifyCap cap_;
  CheckOptions options_;
  Limiter turns_;
};

}  // namespace

Task<Result<CheckReport>> check_immutable(const storage::Roster& roster, Pool& pool,
                                          Secret32 lease_secret, ChkVerifyCap cap,
                                          CheckOptions options) {
  CO_TRY_DO(check_usable(cap));
  auto executor = co_await asio::this_coro::executor;
  auto check = std::make_unique<Check>(executor, pool, lease_secret, cap, std::move(options));
  TaskGroup asking(executor);
  for (const auto* known : roster.permuted(cap.storage_index)) asking.spawn(check->ask(*known));
  co_await asking.join();
  const bool stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled, "checking a file");
  auto& report = check->report;
  (report.shares.size() >= cap.k ? report.recoverable_versions : report.unrecoverable_versions) = 1;
  co_return std::move(report);
}

}  // namespace lafs::grid
