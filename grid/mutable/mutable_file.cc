// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/mutable_file.h"

#include <cmath>
#include <random>

#include "grid/mutable/map_update.h"
#include "grid/mutable/publish.h"
#include "grid/mutable/retrieve.h"

namespace lafs::grid {

namespace {

// How often a read starts over with a wider search before it gives up.
constexpr int read_attempts = 3;
// How often a writer waits for another one that seems to be writing. A writer that died half way
// looks the same, and is overruled in the end.
constexpr int most_waits = 2;
// Changing more than this leaves the I/O thread.
constexpr std::size_t inline_change = 32 * 1024;

std::vector<storage::KnownServer> servers_for(const storage::Roster& roster,
                                              const StorageIndex& si) {
  std::vector<storage::KnownServer> out;
  for (const auto* known : roster.permuted(si)) {
    if (known->server) out.push_back(*known);
  }
  return out;
}

Task<Result<EncodedVersion>> encode(Pool& pool, NewVersion version, const FileKeys& keys,
                                    const Bytes& contents) {
  auto work = [&] { return encode_version(version, keys, contents); };
  co_return co_await offload(pool, std::ref(work));
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

// A version that was acknowledged replaced more than half of the copies of its predecessor. May
// there be such a version, as new as `base` or newer, of which too few shares were found only
// because some servers did not answer? Then building on `base` would lose it.
bool may_hide_another(const ServerMap& map, const ShareHeader& base) {
  if (map.failed().empty()) return false;
  std::map<ServerNo, std::size_t> load;
  std::size_t most = 1;
  for (const auto& [place, share] : map.shares()) most = std::max(most, ++load[place.server]);
  const auto unseen = map.failed().size() * most;
  for (const auto& other : map.unrecoverable()) {
    if (other->id().seqnum >= base.id().seqnum &&
        map.places(*other).size() + unseen > map.places(base).size()) {
      return true;
    }
  }
  return false;
}

// A version newer than `base` is being written at this moment, perhaps: too few of its shares are
// there to read it, and it is none of `ours`.
bool in_the_making(const ServerMap& map, const ShareHeader& base, const std::set<VersionId>& ours) {
  for (const auto& other : map.unrecoverable()) {
    if (other->id().seqnum > base.id().seqnum && !ours.contains(other->id())) return true;
  }
  return false;
}

// What the next attempt is to be based on. What is left of our own failed attempts (`ours`) holds
// nothing but `last_base` and our change, which will be made again anyway; another version since
// then may be one whose writer was told of success. If we were told so, of `acknowledged`, that
// one.
ServerMap::Version choose_base(const ServerMap& map, const std::set<VersionId>& ours,
                               const VersionId& last_base, const VersionId& acknowledged) {
  const auto all = map.recoverable();
  if (all.empty()) return nullptr;
  for (const auto& version : all) {
    if (version->id().seqnum < all.front()->id().seqnum) break;
    if (version->id() == acknowledged) return version;
  }
  for (const auto& version : all) {
    const bool since = version->id().seqnum > last_base.seqnum || version->id() == last_base;
    if (since && !ours.contains(version->id())) return version;
  }
  return all.front();
}

}  // namespace

struct MutableFile::State {
  State(asio::any_io_executor e, MutableContext c, Cap file_cap)
      : executor(e),
        context(std::move(c)),
        cap(std::move(file_cap)),
        turn(e, 1),
        gate(e),
        reports(e),
        signatures(fingerprint()) {
    if (const auto* write = cap.as<MutableWriteCap>()) {
      read_key = read_key_of(write->write_key);
    } else if (const auto* read = cap.as<MutableReadCap>()) {
      read_key = read->read_key;
    }
    si = mutable_storage_index_of(read_key);
  }

  Hash32 fingerprint() const {
    if (const auto* write = cap.as<MutableWriteCap>()) return write->fingerprint;
    if (const auto* read = cap.as<MutableReadCap>()) return read->fingerprint;
    return {};
  }
  bool writable() const { return cap.as<MutableWriteCap>() != nullptr; }
  MutableFormat format() const { return cap.as<MutableWriteCap>()->format; }

  Slot slot() {
    return {
        executor,         context.pool,    reports, signatures, si, servers_for(context.roster, si),
        context.deadline, context.patience};
  }
  MapSearch::Options search(MapMode mode, const Slot& at) const {
    MapSearch::Options options;
    options.mode = mode;
    options.k = k.value_or(context.k);
    options.n = n.value_or(context.n);
    for (std::uint64_t i = 0; i < at.servers.size(); ++i) {
      if (holders.contains(at.servers[i].id)) options.must_ask.insert(ServerNo{i});
    }
    return options;
  }
  Task<ServerMap> update(MapMode mode, const Slot& at);
  void learn(const ServerMap& map, const Slot& at);

  Task<Result<MutableContents>> read();
  Task<Result<VersionId>> probe();
  Task<Result<VersionId>> overwrite(Bytes contents);
  Task<Result<VersionId>> modify(Change change, int attempts);

  Task<Result<>> need_keys(const Slot& at, const ServerMap& map);
  struct Attempt {
    VersionId id;
    Result<> outcome;
  };
  // One publish, and a second look when it is doubtful.
  Task<Attempt> attempt(const Slot& at, const ServerMap& map, std::uint64_t new_k,
                        std::uint64_t new_n, const Bytes& contents);
  Task<> back_off(double& delay);
  Task<Result<std::shared_ptr<const Bytes>>> apply(const Change& change,
                                                   const MutableContents& present);

  asio::any_io_executor executor;
  MutableContext context;
  Cap cap;
  Limiter turn;  // one operation at a time, first come first served
  Gate gate;
  CorruptionReports reports;
  SignatureCheck signatures;
  Key16 read_key;
  StorageIndex si;
  std::optional<FileKeys> keys;                // once a share has shown the private key
  std::optional<std::uint64_t> k, n;           // of the version read last
  VersionId acknowledged;                      // the last one that our caller was told is published
  std::set<std::string, std::less<>> holders;  // ids of servers that held shares lately
};

Task<ServerMap> MutableFile::State::update(MapMode mode, const Slot& at) {
  auto map = co_await update_map(at, search(mode, at));
  learn(map, at);
  co_return map;
}

void MutableFile::State::learn(const ServerMap& map, const Slot& at) {
  for (std::uint64_t i = 0; i < at.servers.size(); ++i) {
    const ServerNo no{i};
    if (map.holds_any(no)) {
      holders.insert(at.servers[i].id);
    } else if (map.answered().contains(no)) {
      holders.erase(at.servers[i].id);
    }
  }
  if (const auto best = map.best()) {
    k = best->geometry().k;
    n = best->geometry().n;
  }
}

Task<Result<MutableContents>> MutableFile::State::read() {
  const auto at = slot();
  Error last{Errc::not_enough_shares, {}};
  for (int i = 0; i < read_attempts; ++i) {
    auto map = co_await update(i == 0 ? MapMode::read : MapMode::check, at);
    if (i == 0 && map.needs_merge()) map = co_await update(MapMode::check, at);
    const auto best = map.best();
    // Without a best version the search has gone to the end of the list already.
    if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
    auto contents = co_await retrieve(at, map, best, read_key);
    if (contents) {
      co_return MutableContents{best->id(), std::make_shared<const Bytes>(std::move(*contents))};
    }
    last = contents.error();
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  co_return std::unexpected(last);
}

Task<Result<VersionId>> MutableFile::State::probe() {
  const auto at = slot();
  auto map = co_await update(MapMode::read, at);
  if (map.needs_merge()) map = co_await update(MapMode::check, at);
  const auto best = map.best();
  if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
  co_return best->id();
}

Task<Result<>> MutableFile::State::need_keys(const Slot& at, const ServerMap& map) {
  if (keys) co_return Result<>();
  auto key = co_await retrieve_private_key(at, map, cap.as<MutableWriteCap>()->write_key);
  if (!key) co_return std::unexpected(key.error());
  keys.emplace(std::move(*key));
  co_return Result<>();
}

Task<MutableFile::State::Attempt> MutableFile::State::attempt(const Slot& at, const ServerMap& map,
                                                              std::uint64_t new_k,
                                                              std::uint64_t new_n,
                                                              const Bytes& contents) {
  NewVersion version;
  version.format = format();
  version.k = new_k;
  version.n = new_n;
  if (map.highest_seqnum() == UINT64_MAX) {
    co_return Attempt{{}, fail(Errc::too_large, "the file has been written too often")};
  }
  version.seqnum = map.highest_seqnum() + 1;
  auto encoded = co_await encode(context.pool, version, *keys, contents);
  if (!encoded) co_return Attempt{{}, std::unexpected(encoded.error())};
  Attempt out{encoded->header.id(), {}};
  PublishSecrets secrets{keys->write_key, context.lease_secret};
  auto published = co_await publish(at, map, secrets, std::move(*encoded));
  out.outcome = published.outcome;
  k = new_k;
  n = new_n;
  if (published.outcome) acknowledged = out.id;
  if (!published.outcome || !published.doubtful) co_return out;
  const auto look = co_await update(MapMode::check, at);
  for (const auto& [place, share] : look.shares()) {
    const auto& id = share.header->id();
    if (id.seqnum >= out.id.seqnum && id != out.id) {
      out.outcome = fail(Errc::collision, "few servers took the new version, and others another");
      acknowledged = {};
    }
  }
  co_return out;
}

Task<> MutableFile::State::back_off(double& delay) {
  // Grows by e, with the reference's relative jitter, at most 20 times the start.
  thread_local std::mt19937_64 random{std::random_device{}()};
  const double start = std::chrono::duration<double>(context.backoff).count();
  delay = std::min(delay * 2.7182818284590451, 20 * start);
  delay = std::max(0.0, std::normal_distribution<double>(delay, delay * 0.12)(random));
  // Two writers that start in step must not stay in step.
  const double spread = std::uniform_real_distribution<double>(0.5, 1.5)(random);
  co_await sleep_for(
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(delay * spread)));
}

Task<Result<std::shared_ptr<const Bytes>>> MutableFile::State::apply(
    const Change& change, const MutableContents& present) {
  if (present.bytes->size() <= inline_change) co_return change(present);
  auto work = [&] { return change(present); };
  co_return co_await offload(context.pool, std::ref(work));
}

Task<Result<VersionId>> MutableFile::State::overwrite(Bytes contents) {
  if (!writable()) co_return fail(Errc::read_only, "the cap is not a write cap");
  const auto at = slot();
  const auto map = co_await update(MapMode::write, at);
  if (!map.best()) co_return std::unexpected(not_readable(map, at.servers.size()));
  auto have = co_await need_keys(at, map);
  if (!have) co_return std::unexpected(have.error());
  const auto done = co_await attempt(at, map, context.k, context.n, contents);
  if (!done.outcome) co_return std::unexpected(done.outcome.error());
  co_return done.id;
}

Task<Result<VersionId>> MutableFile::State::modify(Change change, int attempts) {
  if (!writable()) co_return fail(Errc::read_only, "the cap is not a write cap");
  const auto at = slot();
  std::set<VersionId> ours;
  double delay = std::chrono::duration<double>(context.backoff).count();
  Error last{Errc::collision, {}};
  MapMode mode = MapMode::write;
  VersionId last_base;
  int waits = 0;
  for (int i = 0; i < attempts; ++i) {
    auto map = co_await update(mode, at);
    mode = MapMode::check;  // from the second time on
    const auto base = choose_base(map, ours, last_base, acknowledged);
    if (!base) co_return std::unexpected(not_readable(map, at.servers.size()));
    if (may_hide_another(map, *base)) {
      last = {Errc::not_enough_shares, "another new version cannot be read now: " + map.failures()};
      const bool stop = co_await stop_requested();
      if (stop) break;
      if (i + 1 < attempts) co_await back_off(delay);
      continue;
    }
    if (waits < most_waits && in_the_making(map, *base, ours)) {
      co_await sleep_for(context.patience);
      ++waits;
      --i;
      continue;
    }
    last_base = base->id();
    auto old = co_await retrieve(at, map, base, read_key);
    if (!old) {
      last = old.error();
      continue;
    }
    auto have = co_await need_keys(at, map);
    if (!have) co_return std::unexpected(have.error());
    const MutableContents present{base->id(), std::make_shared<const Bytes>(std::move(*old))};
    auto changed = co_await apply(change, present);
    if (!changed) co_return std::unexpected(changed.error());
    const bool same = !*changed || **changed == *present.bytes;
    // After a collision even unchanged contents are published: of our earlier attempt some shares
    // are about, and nobody was told that it counts.
    if (same && ours.empty()) co_return base->id();
    const auto contents = same ? present.bytes : *changed;
    auto done = co_await attempt(at, map, base->geometry().k, base->geometry().n, *contents);
    if (done.outcome) co_return done.id;
    last = done.outcome.error();
    if (last.code != Errc::collision) break;
    ours.insert(done.id);
    const bool stop = co_await stop_requested();
    if (stop) break;
    if (i + 1 < attempts) co_await back_off(delay);
  }
  co_return std::unexpected(last);
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

Task<> MutableFile::close() {
  co_await state_->gate.close();
  co_await state_->reports.close();
}

Task<Result<Cap>> MutableFile::create(asio::any_io_executor executor, MutableContext context,
                                      MutableFormat format, Bytes contents, RsaPrivateKey key) {
  const FileKeys keys(std::move(key));
  const Cap cap(MutableWriteCap{format, keys.write_key, keys.fingerprint});
  NewVersion version;
  version.format = format;
  version.k = context.k;
  version.n = context.n;
  auto encoded = co_await encode(context.pool, version, keys, contents);
  if (!encoded) co_return std::unexpected(encoded.error());
  const auto si = *cap.storage_index();
  CorruptionReports reports(executor);
  SignatureCheck signatures(keys.fingerprint);
  const Slot slot{
      executor,         context.pool,    reports, signatures, si, servers_for(context.roster, si),
      context.deadline, context.patience};
  if (slot.servers.empty()) co_return fail(Errc::no_servers, "no storage server is known");
  const ServerMap nothing;
  PublishSecrets secrets{keys.write_key, context.lease_secret};
  auto published = co_await publish(slot, nothing, secrets, std::move(*encoded));
  if (!published.outcome) co_return std::unexpected(published.outcome.error());
  co_return cap;
}

}  // namespace lafs::grid
