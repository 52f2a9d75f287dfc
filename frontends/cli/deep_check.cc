// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/deep_check.h"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/lister.h"
#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t checks_at_once = 10;
constexpr std::size_t verifies_at_once = 3;

// Bytes of all shares; directories and mutable files count a little.
std::uint64_t bytes_of_shares(const Cap& cap) {
  const auto* chk = cap.as<grid::ChkCap>();
  if (!chk || chk->k == 0 || chk->k > chk->n || chk->n > 256) return 10'000;
  return static_cast<std::uint64_t>(static_cast<double>(chk->size) * static_cast<double>(chk->n) /
                                    static_cast<double>(chk->k)) +
         1000;
}

}  // namespace

Task<Result<grid::RepairReport>> check_place(Session& session, Cap cap, grid::CheckOptions options,
                                             bool repair) {
  if (repair) {
    co_return co_await grid::check_and_repair(session.client(), std::move(cap), std::move(options));
  }
  grid::RepairReport out;
  CO_TRY(report, co_await grid::check(session.client(), std::move(cap), std::move(options)));
  out.before = std::move(report);
  co_return out;
}

DeepCheck::DeepCheck(Session& session, Options options)
    : session_(session), options_(std::move(options)), names_(server_names(session.roster())) {}

Task<Result<>> DeepCheck::collect(const Place& root) {
  grid::Visitor visitor = [&](const grid::Found& found) { return visit(found, root); };
  co_return co_await grid::walk(lister(session_), *root.cap, std::move(visitor), {});
}

Task<Result<>> DeepCheck::visit(const grid::Found& found, const Place& root) {
  const auto& cap = found.cap;
  const auto slash = root.text.ends_with(':') || root.text.ends_with('/') ? "" : "/";
  auto path = found.path.empty() ? root.text : root.text + slash + found.path;
  if (found.error) {
    if (found.path.empty()) co_return annotate(Error(*found.error), path);
    say_error(path, *found.error);
  }
  if (cap.is_literal() || cap.is_unknown()) co_return Result<>{};
  const auto weight = options_.check.verify ? bytes_of_shares(cap) : 1;
  items_.push_back({std::move(path), cap, weight});
  co_return Result<>{};
}

Task<Result<Exit>> DeepCheck::run(std::string text) {
  CO_TRY(target, parse_grid_target(text));
  CO_TRY(place, co_await existing_place(session_, std::move(target)));
  if (const auto root = place.cap->storage_index()) {
    CO_TRY(secret, session_.node().lease_secret());
    const std::string kind = std::string(options_.check.verify ? "verify" : "check") +
                             (options_.repair ? "-repair" : "");
    CO_TRY(state, CheckState::open(session_.node().path(), secret, *root, kind, options_.restart));
    state_ = std::move(state);
  }
  CO_TRY_DO(co_await collect(place));
  Progress progress(place.text, !options_.quiet && !options_.json);
  if (!options_.check.verify) progress.unit("files");
  std::uint64_t total = 0;
  for (auto& item : items_) total += item.weight;
  progress.total(total);
  const auto at_once = options_.check.verify || options_.repair ? verifies_at_once : checks_at_once;
  TaskGroup looking(co_await asio::this_coro::executor);
  bool stop = false;
  for (auto& item : items_) {
    stop = co_await stop_requested();
    if (stop) break;
    const auto index = item.cap.storage_index();
    if (index && state_ && state_->has(*index)) {
      ++summary_.skipped;
      progress.add(item.weight);
      continue;
    }
    looking.spawn(look_at(item, progress));
    while (looking.running() >= at_once && !stop) {
      co_await looking.wait_one();
      stop = co_await stop_requested();
    }
  }
  co_await looking.join();
  stop = stop || co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled, place.text + ", where the next run goes on");
  if (state_) state_->finish();
  print_summary();
  if (summary_.unrecoverable > 0) co_return Exit::grid;
  co_return summary_.unhealthy + summary_.failed > 0 ? Exit::failed : Exit::ok;
}

Task<> DeepCheck::look_at(Item item, Progress& progress) {
  auto report = co_await check_place(session_, item.cap, options_.check, options_.repair);
  const bool stop = co_await stop_requested();
  if (stop) co_return;
  progress.add(item.weight);
  if (!report) {
    say_error(item.path, report.error());
    co_return;
  }
  ++summary_.checked;
  const auto& now = report->now();
  if (!now.needs_repair()) {
    ++summary_.healthy;
    if (report->attempted) ++summary_.repaired;
    const auto index = item.cap.storage_index();
    if (index && state_) state_->add(*index);
  } else if (now.recoverable()) {
    ++summary_.unhealthy;
  } else {
    ++summary_.unrecoverable;
  }
  say(item, *report);
}

void DeepCheck::say(const Item& item, const grid::RepairReport& report) {
  if (options_.json) {
    json::object out{{"place", item.path}};
    const auto index = item.cap.storage_index();
    out["storage_index"] = index ? json::value(index->text()) : json::value(nullptr);
    add_health(out, report, names_);
    out.erase("server_names");
    print(json::serialize(out) + "\n");
  } else if (report.attempted || report.before.needs_repair()) {
    print(health_text(item.path, report, names_, false));
  }
}

void DeepCheck::say_error(const std::string& path, const Error& error) {
  ++summary_.failed;
  if (options_.json) {
    print(json::serialize(json::object{{"place", path}, {"error", printable(error.message())}}) +
          "\n");
  } else {
    print(fmt::format("{}: not checked: {}\n", printable(path), printable(error.message())));
  }
}

void DeepCheck::print_summary() const {
  const auto& s = summary_;
  if (options_.json) {
    const json::object out{{"checked", s.checked},       {"healthy", s.healthy},
                           {"unhealthy", s.unhealthy},   {"unrecoverable", s.unrecoverable},
                           {"repaired", s.repaired},     {"failed", s.failed},
                           {"healthy_before", s.skipped}};
    print(json::serialize(json::object{{"summary", out}}) + "\n");
    return;
  }
  std::string text = fmt::format("{} checked: {} healthy, {} need repair, {} cannot be read",
                                 s.checked, s.healthy, s.unhealthy, s.unrecoverable);
  if (options_.repair) text += fmt::format(", {} repaired", s.repaired);
  if (s.failed > 0) text += fmt::format(", {} not checked", s.failed);
  if (s.skipped > 0) text += fmt::format("; {} were healthy in the interrupted run", s.skipped);
  print(text + "\n");
}

}  // namespace lafs::cli
