// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/mutable_file.h"

#include "grid/base/log.h"
#include "grid/base/process_metrics.h"
#include "grid/mutable/mutable_state.h"

namespace lafs::grid {

namespace {

// How often a read starts over with a wider search before it gives up.
constexpr int read_attempts = 3;
// A file whose shares are larger is not read whole at first sight.
constexpr std::size_t largest_first_read = 64 * 1024;

}  // namespace

std::vector<storage::KnownServer> servers_for(const storage::Roster& roster,
                                              const StorageIndex& si) {
  std::vector<storage::KnownServer> out;
  for (const auto* known : roster.permuted(si)) {
    if (known->server) out.push_back(*known);
  }
  return out;
}

Error not_readable(const ServerMap& map, std::size_t servers) {
  if (servers == 0) return {Errc::no_servers, "no storage server is known"};
  if (map.nothing_found()) {
    if (map.answered().empty()) return {Errc::no_servers, map.failures()};
    // Shares may be on those that failed.
    const auto code = map.failed().empty() ? Errc::not_found : Errc::not_enough_shares;
    return {code, "no share of the mutable file was found: " + map.failures()};
  }
  return {Errc::not_enough_shares, "no version of the mutable file can be read: " + map.failures()};
}

Slot MutableFile::State::slot() {
  Slot out{
      executor,         context.pool,    reports, signatures, si, servers_for(context.roster, si),
      context.deadline, context.patience};
  if (const auto* write = cap.as<MutableWriteCap>()) {
    out.secrets = PublishSecrets{write->write_key, context.lease_secret};
  }
  out.held_lately = held;
  // One byte more than the share has shows that it ends there.
  if (share_size < largest_first_read) out.first_read = std::max(out.first_read, share_size + 1);
  out.facts = context.facts.get();
  return out;
}

MapSearch::Options MutableFile::State::search(MapMode mode, const Slot& at) const {
  MapSearch::Options options;
  options.mode = mode;
  options.k = k.value_or(context.k);
  options.n = n.value_or(context.n);
  for (std::uint64_t i = 0; i < at.servers.size(); ++i) {
    if (held.contains(at.servers[i].id)) options.must_ask.insert(ServerNo{i});
  }
  return options;
}

Task<ServerMap> MutableFile::State::update(MapMode mode, const Slot& at) {
  auto map = co_await update_map(at, search(mode, at));
  learn(map, at);
  co_return map;
}

void MutableFile::State::learn(const ServerMap& map, const Slot& at) {
  for (std::uint64_t i = 0; i < at.servers.size(); ++i) {
    if (map.answered().contains(ServerNo{i})) held.erase(at.servers[i].id);
  }
  for (const auto& [place, share] : map.shares()) {
    held[at.id(place.server)].insert(place.number);
  }
  if (const auto best = map.best()) {
    k = best->geometry().k;
    n = best->geometry().n;
    share_size = best->offsets().end;
  }
}

namespace {
metrics::Histogram& read_seconds() {
  static auto& out = metrics::of_process().histogram(
      "lafs_mutable_read_seconds", "How long reading a mutable file or directory took.",
      metrics::latency_bounds());
  return out;
}
}  // namespace

void MutableFile::State::tell_of_lost(const ServerMap& map, const ServerMap::Version& best) {
  if (!map.newer_unrecoverable()) return;
  const auto lost = map.unrecoverable().front();
  if (lost->id() == told_lost) return;
  told_lost = lost->id();
  log::warning("mutable file " + si.text() + ": version " + lost->id().text() + " is newer than " +
               best->id().text() + ", which is read, but only " +
               std::to_string(map.numbers(*lost).size()) + " of the " +
               std::to_string(lost->geometry().k) + " shares it needs are found" +
               (map.failed().empty() ? "" : ", and " + map.failures()) +
               "; it is being written, or lost: then `lafs repair --force` gives it up");
}

Task<Result<MutableContents>> MutableFile::State::read() {
  const metrics::Timed timed(read_seconds());
  const auto at = slot();
  Error failure{Errc::not_enough_shares, {}};
  for (int i = 0; i < read_attempts; ++i) {
    auto map = co_await update(i == 0 ? MapMode::read : MapMode::check, at);
    if (i == 0 && map.needs_merge()) map = co_await update(MapMode::check, at);
    const auto best = map.best();
    // Without a best version the search has gone to the end of the list already.
    if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
    auto contents = co_await retrieve(at, map, best, read_key);
    if (contents) {
      tell_of_lost(map, best);
      co_return MutableContents{best->id(), std::make_shared<const Bytes>(std::move(*contents))};
    }
    failure = contents.error();
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  co_return std::unexpected(failure);
}

Task<Result<VersionId>> MutableFile::State::probe() {
  const auto at = slot();
  auto map = co_await update(MapMode::read, at);
  if (map.needs_merge()) map = co_await update(MapMode::check, at);
  const auto best = map.best();
  if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
  co_return best->id();
}

Task<Result<MutablePart>> MutableFile::State::read_part(std::uint64_t offset,
                                                        std::uint64_t length) {
  const auto at = slot();
  Error error{Errc::not_enough_shares, {}};
  for (int i = 0; i < read_attempts; ++i) {
    auto map = co_await update(i == 0 ? MapMode::read : MapMode::check, at);
    if (i == 0 && map.needs_merge()) map = co_await update(MapMode::check, at);
    const auto best = map.best();
    if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
    const auto& g = best->geometry();
    tell_of_lost(map, best);
    MutablePart out{best->id(), g.data_length, {}};
    const auto begin = std::min(offset, g.data_length);
    const auto size = std::min(length, g.data_length - begin);
    if (size == 0) co_return out;
    const auto segments = segments_of(g, begin, size);
    Result<Bytes> bytes;
    if (best->format() == MutableFormat::sdmf || segments.count == g.segments()) {
      bytes = co_await retrieve(at, map, best, read_key);
    } else {
      bytes = co_await retrieve_segments(at, map, best, read_key, segments);
    }
    if (bytes) {
      const auto whole = bytes->size() == g.data_length;
      const auto from = whole ? begin : begin - segments.first * g.segment_size;
      const auto part = slice(*bytes, from, size);
      if (!part) co_return fail(Errc::internal, "a part of a mutable file was cut");
      out.bytes = to_bytes(*part);
      co_return out;
    }
    error = bytes.error();
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  co_return std::unexpected(error);
}

Task<Result<>> MutableFile::State::need_keys(const Slot& at, const ServerMap& map) {
  if (keys) co_return Result<>();
  auto key = co_await retrieve_private_key(at, map, cap.as<MutableWriteCap>()->write_key);
  if (!key) co_return std::unexpected(key.error());
  keys.emplace(std::move(*key));
  co_return Result<>();
}

MutableFile::MutableFile(asio::any_io_executor executor, MutableContext context, Cap cap)
    : state_(std::make_unique<State>(std::move(executor), std::move(context), std::move(cap))) {}

MutableFile::~MutableFile() = default;

const Cap& MutableFile::cap() const { return state_->cap; }
bool MutableFile::writable() const { return state_->writable(); }

// Each operation: let in, wait for the turn, do it.
Task<Result<MutableContents>> MutableFile::read() {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->read();
}

Task<Result<MutablePart>> MutableFile::read_part(std::uint64_t offset, std::uint64_t length) {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->read_part(offset, length);
}

Task<Result<VersionId>> MutableFile::probe() {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->probe();
}

Task<Result<VersionId>> MutableFile::overwrite(Bytes contents) {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->overwrite(std::move(contents));
}

Task<Result<VersionId>> MutableFile::modify(Change change, int attempts) {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->modify(std::move(change), attempts);
}

Task<Result<VersionId>> MutableFile::patch(Patch patch, int attempts) {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  Change change = [&patch](const MutableContents& old) -> Result<std::shared_ptr<const Bytes>> {
    return std::make_shared<const Bytes>(patch.applied(*old.bytes));
  };
  co_return co_await state_->modify(std::move(change), attempts, &patch);
}

Task<Result<VersionId>> MutableFile::repair(bool force, Damaged damaged) {
  auto pass = state_->gate.enter();
  if (!pass) co_return fail(Errc::closed, "mutable file");
  if (!state_->cap.is_mutable()) co_return fail(Errc::bad_cap, "not a mutable file");
  const auto turn = co_await state_->turn.acquire();
  co_return co_await state_->repair(force, std::move(damaged));
}

Task<> MutableFile::close() {
  co_await state_->gate.close();
  co_await state_->reports.close();
}

}  // namespace lafs::grid
