// SPDX-License-Identifier: Apache-2.0

// lafs storage usage, gc, advisories: what an operator asks about a storage directory.

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <ctime>

#include "frontends/cli/commands.h"
#include "frontends/cli/local_grid.h"
#include "frontends/cli/output.h"
#include "frontends/cli/progress.h"
#include "frontends/cli/storage_control.h"
#include "grid/base/base32.h"
#include "grid/base/netstring.h"
#include "grid/node_dir/quantities.h"
#include "grid/storage_reports.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using Rows = std::vector<std::vector<std::string>>;

struct UsageOptions {
  std::vector<std::string> accounts;
  bool rebuild = false;
  bool json = false;
};

struct AdvisoryOptions {
  std::vector<std::string> shares;
  bool check = false;
  bool json = false;
};

struct GcOptions {
  bool collect = false;
  bool history = false;
  std::string age;
  std::string cutoff;
  bool json = false;
};

std::string count(std::uint64_t n) { return std::to_string(n); }

std::vector<std::string> row(const std::string& name, const grid::storage::Amount& a) {
  return {name, count(a.shares), human_size(a.data_bytes), human_size(a.disk_bytes)};
}

void add_rows(Rows& rows, const grid::storage::ByKind& kinds) {
  rows.push_back(row("immutable", kinds.immutable));
  rows.push_back(row("mutable", kinds.mutable_));
  rows.push_back(row("all", kinds.total()));
}

std::string ages_table(const grid::storage::LeaseAges& ages) {
  Rows rows{{"LEASES RENEWED", "LEASES"}};
  const auto& days = grid::storage::LeaseAges::days;
  for (std::size_t i = 0; i < ages.leases.size(); ++i) {
    const auto when = i < days.size() ? "less than " + count(days[i]) + " days ago"
                                      : count(days.back()) + " days ago and longer";
    rows.push_back({i == 0 ? "less than a day ago" : when, count(ages.leases[i])});
  }
  return format_table(rows, {1});
}

// "NAME=FILE", the file as private/secret of a node directory.
Result<grid::LeaseAccount> account_of(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0) {
    return fail(Errc::bad_argument, "--account takes NAME=FILE, not \"" + text + "\"");
  }
  const std::string file = text.substr(equals + 1);
  TRY(line, grid::read_small_file(file, 4096));
  const auto raw = from_base32_lax(grid::trimmed(line));
  const auto secret = raw ? grid::Secret32::from(*raw) : std::nullopt;
  if (!secret) {
    return fail(Errc::bad_config,
                file + ":1: not a lease secret (52 characters, as in a client's private/secret)");
  }
  return grid::LeaseAccount{text.substr(0, equals), *secret};
}

// What changes the directory is done here when no server has it, and by the server otherwise.
class Turn {
 public:
  static Result<Turn> take(const grid::NodeDir& node) {
    auto lock = take_server_lock(node.path());
    if (lock) return Turn(std::move(*lock), {});
    if (lock.error().code != Errc::busy) return std::unexpected(lock.error());
    return Turn(std::nullopt, lock.error());
  }
  bool ours() const { return lock_.has_value(); }
  // When nobody answered: who has the directory does not listen.
  Error unanswered(Error error) const {
    if (error.code != Errc::not_found) return error;
    return {Errc::busy, busy_.context + "; it does not listen on its control socket: end it first"};
  }

 private:
  Turn(std::optional<grid::FileLock> lock, Error busy)
      : lock_(std::move(lock)), busy_(std::move(busy)) {}
  std::optional<grid::FileLock> lock_;
  Error busy_;
};

class WalkProgress {
 public:
  explicit WalkProgress(bool wanted) : bar_("shares", wanted) { bar_.unit("shares"); }
  SharesSeen seen() {
    return [this](std::uint64_t shares) { bar_.at(shares); };
  }

 private:
  Progress bar_;
};

Task<Result<>> rebuild(const grid::NodeDir& node, bool quiet) {
  CO_TRY(turn, Turn::take(node));
  if (turn.ours()) co_return grid::rebuild_usage(node);
  WalkProgress progress(!quiet);
  auto done = co_await ask_to_rebuild(node.path(), progress.seen());
  if (!done) co_return std::unexpected(turn.unanswered(done.error()));
  co_return done;
}

Task<Result<Exit>> usage(const Globals& globals, const UsageOptions& options) {
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  std::vector<grid::LeaseAccount> accounts;
  for (const auto& text : options.accounts) {
    CO_TRY(account, account_of(text));
    accounts.push_back(std::move(account));
  }
  if (options.rebuild) CO_TRY_DO(co_await rebuild(node, options.json));
  CO_TRY(report, grid::storage_usage(node, accounts, std::time(nullptr)));
  if (options.json) {
    print(report.json() + "\n");
    co_return Exit::ok;
  }
  Rows rows{{"STORED", "SHARES", "DATA", "ON DISK"}};
  add_rows(rows, report.totals);
  print(format_table(rows, {1, 2, 3}) + "\n");
  if (!report.complete) {
    print("The server has not yet walked over all shares: there may be more.\n\n");
  }
  rows = {{"RUN OUT", "SHARES", "DATA", "ON DISK"}};
  add_rows(rows, report.expired);
  rows.push_back(row("never (no lease)", report.without_leases.total()));
  print(format_table(rows, {1, 2, 3}));
  print("(" + report.policy + (report.policy_enabled ? ")\n\n" : "; collection is off)\n\n"));
  print(ages_table(report.ages));
  if (!accounts.empty()) {
    rows = {{"LEASES OF", "SHARES", "DATA", "ON DISK"}};
    for (const auto& [name, amount] : report.accounts) {
      rows.push_back(row(name.empty() ? "(none of these)" : printable(name), amount));
    }
    print("\n" + format_table(rows, {1, 2, 3}));
  }
  if (report.last_walk) {
    const auto& walk = *report.last_walk;
    print("\nlast walk over the shares: " + human_time(static_cast<double>(walk.finished)) +
          ", removed " + count(walk.tally.removed.total().shares) + " shares, " +
          human_size(walk.tally.removed.total().disk_bytes) + "\n");
  }
  co_return Exit::ok;
}

void print_cycle(const grid::storage::CollectionCycle& cycle) {
  const auto& t = cycle.tally;
  Rows rows{{"", "SHARES", "DATA", "ON DISK"}};
  rows.push_back(row("examined", t.examined.total()));
  rows.push_back(row("run out, immutable", t.expired.immutable));
  rows.push_back(row("run out, mutable", t.expired.mutable_));
  rows.push_back(row("removed", t.removed.total()));
  print(format_table(rows, {1, 2, 3}));
  print("leases: " + count(t.leases) + ", run out " + count(t.leases_expired) + ", removed " +
        count(t.leases_removed) +
        "; shares without a lease, which stay: " + count(t.without_leases) + "\n");
  if (t.failed) print(count(t.failed) + " changes failed; see the log\n");
  if (t.unreadable) {
    print(count(t.unreadable) + " files are no shares that can be read:\n");
    for (const auto& name : t.unreadable_shares) print("  " + name + "\n");
  }
}

Result<Exit> gc_history(const grid::NodeDir& node, bool as_json) {
  const auto state = grid::storage::CollectorState::load(node.storage().directory);
  auto cycles = state.history;
  if (state.current) cycles.push_back(*state.current);
  if (as_json) {
    json::array all;
    for (const auto& cycle : cycles) all.push_back(json::parse(cycle_json(cycle)));
    print(json::serialize(all) + "\n");
    return Exit::ok;
  }
  Rows rows{{"WALK", "STARTED", "FINISHED", "EXAMINED", "RUN OUT", "REMOVED", "FREED"}};
  for (const auto& cycle : cycles) {
    rows.push_back({count(cycle.number), human_time(static_cast<double>(cycle.started)),
                    cycle.finished ? human_time(static_cast<double>(cycle.finished)) : "-",
                    count(cycle.tally.examined.total().shares),
                    count(cycle.tally.expired.total().shares),
                    count(cycle.tally.removed.total().shares),
                    human_size(cycle.tally.removed.total().disk_bytes)});
  }
  print(format_table(rows, {0, 3, 4, 5, 6}));
  return Exit::ok;
}

Result<grid::storage::ExpiryPolicy> policy_of(const grid::NodeDir& node, const GcOptions& options) {
  using grid::storage::ExpiryPolicy;
  auto policy = node.storage().expiry;
  if (!options.age.empty()) {
    TRY(age, grid::parse_duration(options.age));
    policy.mode = ExpiryPolicy::Mode::age;
    policy.max_age = age.count();
  }
  if (!options.cutoff.empty()) {
    TRY(cutoff, grid::parse_date(options.cutoff));
    policy.mode = ExpiryPolicy::Mode::cutoff_date;
    policy.cutoff = cutoff;
  }
  return policy;
}

Task<Result<grid::storage::CollectionCycle>> collect(const grid::NodeDir& node,
                                                     grid::storage::ExpiryPolicy policy,
                                                     bool quiet) {
  // Saying so is enough: the switch in tahoe.cfg is for what happens unasked.
  policy.enabled = true;
  CO_TRY(turn, Turn::take(node));
  if (turn.ours()) co_return grid::walk_shares(node, policy, true, std::time(nullptr));
  WalkProgress progress(!quiet);
  auto cycle = co_await ask_to_collect(node.path(), policy, progress.seen());
  if (!cycle) co_return std::unexpected(turn.unanswered(cycle.error()));
  co_return cycle;
}

Task<Result<Exit>> gc(const Globals& globals, const GcOptions& options) {
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  if (options.history) co_return gc_history(node, options.json);
  CO_TRY(policy, policy_of(node, options));
  Result<grid::storage::CollectionCycle> cycle = grid::storage::CollectionCycle{};
  if (options.collect) {
    cycle = co_await collect(node, policy, options.json);
  } else {
    cycle = grid::walk_shares(node, policy, false, std::time(nullptr));
  }
  if (!cycle) co_return std::unexpected(cycle.error());
  if (options.json) {
    print(cycle_json(*cycle) + "\n");
    co_return Exit::ok;
  }
  print(cycle->policy + (options.collect ? ":\n\n" : "; nothing is removed:\n\n"));
  print_cycle(*cycle);
  co_return Exit::ok;
}

// Has the shares of these reports looked at again.
Task<Result<>> check_again(Io io, const grid::NodeDir& node, std::vector<std::string> files) {
  CO_TRY(turn, Turn::take(node));
  if (turn.ours()) {
    co_return co_await grid::check_advisories(io.executor, io.pool, node, std::move(files));
  }
  for (auto& file : files) {
    auto done = co_await ask_to_check(node.path(), std::move(file));
    if (!done) co_return std::unexpected(turn.unanswered(done.error()));
  }
  co_return Result<>{};
}

std::string share_of(const grid::storage::Advisory& advisory) {
  return advisory.si.text() + "/" + count(advisory.number.value);
}

// "STORAGE_INDEX" or "STORAGE_INDEX/NUMBER"; none: all.
bool is_meant(const grid::storage::Advisory& advisory, const std::vector<std::string>& shares) {
  const auto name = share_of(advisory);
  return shares.empty() || std::ranges::any_of(shares, [&](const std::string& s) {
           return s == name || s == advisory.si.text();
         });
}

Task<Result<Exit>> advisories(Io io, const Globals& globals, const AdvisoryOptions& options) {
  CO_TRY(node, grid::NodeDir::open(globals.node_path()));
  const grid::storage::ShareTree tree(node.storage().directory);
  CO_TRY(all, list_advisories(tree));
  std::erase_if(all, [&](const auto& a) { return !is_meant(a, options.shares); });
  if (!options.shares.empty() && all.empty()) {
    co_return fail(Errc::not_found, "no client has reported " + options.shares.front());
  }
  if (options.check) {
    std::vector<std::string> files;
    for (const auto& a : all) files.push_back(a.file);
    CO_TRY_DO(co_await check_again(io, node, std::move(files)));
    CO_TRY(again, list_advisories(tree));
    all = std::move(again);
    std::erase_if(all, [&](const auto& a) { return !is_meant(a, options.shares); });
  }
  if (options.json) {
    using Finding = grid::storage::Advisory::Finding;
    json::array list;
    for (const auto& a : all) {
      json::object one{
          {"file", a.file},
          {"time", a.time},
          {"kind", a.kind == grid::storage::ShareKind::mutable_ ? "mutable" : "immutable"},
          {"storage_index", a.si.text()},
          {"share_number", a.number.value},
          {"reason", printable(a.reason)}};
      if (a.check) {
        one["check"] = json::object{{"time", a.check->time},
                                    {"result", name_of(a.check->finding)},
                                    {"sound", a.check->finding == Finding::sound},
                                    {"detail", printable(a.check->detail)}};
      } else {
        one["check"] = nullptr;
      }
      list.push_back(std::move(one));
    }
    print(json::serialize(list) + "\n");
    co_return Exit::ok;
  }
  Rows rows{{"REPORTED", "KIND", "SHARE", "OUR LOOK AT IT", "REASON"}};
  for (const auto& a : all) {
    rows.push_back({a.time.substr(0, 19),
                    a.kind == grid::storage::ShareKind::mutable_ ? "mutable" : "immutable",
                    share_of(a), a.check ? std::string(name_of(a.check->finding)) : "-",
                    printable(a.reason.substr(0, 60))});
  }
  print(format_table(rows));
  co_return Exit::ok;
}

}  // namespace

void add_storage_report_commands(Commands& commands) {
  auto* using_ = commands.add("storage usage", "Say how much the storage server keeps, for whom");
  auto usage_options = std::make_shared<UsageOptions>();
  using_
      ->add_option("--account", usage_options->accounts,
                   "Count the leases of this client: FILE is its private/secret")
      ->type_name("NAME=FILE");
  using_->add_flag("--rebuild", usage_options->rebuild, "Make the usage index anew first");
  using_->add_flag("--json", usage_options->json, "Print one JSON object");
  commands.on_io(
      using_, [&commands, usage_options](Io) { return usage(commands.globals(), *usage_options); });

  auto* collecting = commands.add("storage gc", "Say which shares have run out; remove them");
  auto gc_options = std::make_shared<GcOptions>();
  collecting->add_flag("--collect", gc_options->collect, "Remove them now");
  collecting->add_option("--age", gc_options->age, "Leases older than this have run out")
      ->type_name("DURATION");
  collecting
      ->add_option("--cutoff-date", gc_options->cutoff,
                   "Leases last renewed before this day have run out")
      ->type_name("YYYY-MM-DD")
      ->excludes("--age");
  collecting->add_flag("--history", gc_options->history,
                       "What the server's own walks over the shares found and removed");
  collecting->add_flag("--json", gc_options->json, "Print JSON");
  commands.on_io(collecting,
                 [&commands, gc_options](Io) { return gc(commands.globals(), *gc_options); });

  auto* reported = commands.add("storage advisories", "List shares that clients call damaged");
  auto options = std::make_shared<AdvisoryOptions>();
  reported
      ->add_option("share", options->shares, "Only these: STORAGE-INDEX or STORAGE-INDEX/NUMBER")
      ->type_name("SHARE");
  reported->add_flag("--check", options->check, "Look at the shares again");
  reported->add_flag("--json", options->json, "Print one JSON array");
  commands.on_io(reported, [&commands, options](Io io) {
    return advisories(io, commands.globals(), *options);
  });
}

}  // namespace lafs::cli
