// SPDX-License-Identifier: Apache-2.0
// How a MutableFile is changed.

#include <cmath>
#include <random>

#include "grid/base/log.h"
#include "grid/mutable/mutable_state.h"

namespace lafs::grid {

namespace {

// How often a writer waits for another one that seems to be writing. A writer that died half way
// looks the same, and is overruled in the end.
constexpr int most_waits = 2;
// Changing more than this leaves the I/O thread.
constexpr std::size_t inline_change = 32 * 1024;
// Our own last publish is built upon without asking for so long. Contents up to this size stay in
// memory for that.
constexpr Duration last_is_good = std::chrono::seconds(60);
constexpr std::size_t kept_contents = 256 * 1024;

Task<Result<EncodedVersion>> encode(Pool& pool, NewVersion version, const FileKeys& keys,
                                    const Bytes& contents) {
  auto work = [&] { return encode_version(version, keys, contents); };
  co_return co_await offload(pool, std::ref(work));
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

std::vector<std::string> ids_of(const Slot& at) {
  std::vector<std::string> out;
  for (const auto& server : at.servers) out.push_back(server.id);
  return out;
}

}  // namespace

Task<MutableFile::State::Attempt> MutableFile::State::attempt(
    const Slot& at, const ServerMap& map, std::uint64_t new_k, std::uint64_t new_n,
    std::shared_ptr<const Bytes> contents) {
  NewVersion version;
  version.format = format();
  version.k = new_k;
  version.n = new_n;
  if (map.highest_seqnum() == UINT64_MAX) {
    co_return Attempt{{}, fail(Errc::too_large, "the file has been written too often")};
  }
  version.seqnum = map.highest_seqnum() + 1;
  auto encoded = co_await encode(context.pool, version, *keys, *contents);
  if (!encoded) co_return Attempt{{}, std::unexpected(encoded.error())};
  co_return co_await send(at, map, std::move(*encoded), std::move(contents));
}

Task<MutableFile::State::Attempt> MutableFile::State::send(const Slot& at, const ServerMap& map,
                                                           EncodedVersion encoded,
                                                           std::shared_ptr<const Bytes> contents) {
  Attempt out{encoded.header.id(), {}};
  const auto header = std::make_shared<const ShareHeader>(encoded.header);
  last.reset();
  auto published = co_await publish(at, map, std::move(encoded));
  out.outcome = published.outcome;
  k = header->geometry().k;
  n = header->geometry().n;
  share_size = header->offsets().end;
  if (published.outcome) acknowledged = out.id;
  if (published.known && contents) {
    const bool small = contents->size() <= kept_contents;
    last = Last{std::move(*published.known), header,    contents, small ? contents : nullptr,
                Clock::now() + last_is_good, ids_of(at)};
    learn(last->map, at);
  }
  if (!published.outcome || !published.doubtful) co_return out;
  const auto look = co_await update(MapMode::check, at);
  for (const auto& [place, share] : look.shares()) {
    const auto& id = share.header->id();
    if (id.seqnum >= out.id.seqnum && id != out.id) {
      out.outcome = fail(Errc::collision, "few servers took the new version, and others another");
      acknowledged = {};
      last.reset();
    }
  }
  co_return out;
}

Task<Result<Bytes>> MutableFile::State::patched(const Slot& at, ServerMap& map,
                                                ServerMap::Version base, const MutableGeometry& now,
                                                SegmentRange touched, const Patch& patch) {
  const auto& old = base->geometry();
  const auto segment = now.segment_size;
  const auto begin = touched.first * segment;
  Bytes out(std::min(touched.end() * segment, now.data_length) - begin);
  const auto patch_end = patch.offset + patch.data.size();
  const auto kept =
      std::min({old.data_length, patch.new_length.value_or(old.data_length), now.data_length});
  // Of the old contents at most the first and the last of these segments are needed.
  std::set<std::uint64_t> needed;
  for (const auto s : {touched.first, touched.end() - 1}) {
    const auto from = s * segment;
    const auto to = std::min(from + segment, kept);
    const bool covered = patch.offset <= from && patch_end >= to;
    if (from < to && !covered) needed.insert(s);
  }
  for (const auto s : needed) {
    auto bytes = co_await retrieve_segments(at, map, base, read_key, {s, 1});
    if (!bytes) co_return std::unexpected(std::move(bytes).error());
    const auto from = s * segment;
    const auto size = std::min<std::uint64_t>(bytes->size(), kept - from);
    std::copy_n(bytes->begin(), size, out.begin() + static_cast<std::ptrdiff_t>(from - begin));
  }
  if (!patch.data.empty()) {
    std::ranges::copy(patch.data, out.begin() + static_cast<std::ptrdiff_t>(patch.offset - begin));
  }
  co_return out;
}

Task<MutableFile::State::Attempt> MutableFile::State::attempt_patch(const Slot& at, ServerMap& map,
                                                                    ServerMap::Version base,
                                                                    const Patch& patch) {
  Attempt out{base->id(), fail(Errc::unsupported, "cannot be changed in place")};
  auto now = base->geometry();
  now.data_length = patch.length_after(now.data_length);
  // The root hash takes all n shares, and each copy must be the one we know.
  const bool all_there = base->format() == MutableFormat::mdmf && now.segment_size > 0 &&
                         map.numbers(*base).size() == now.n && map.bad_shares().empty() &&
                         map.places(*base).size() == map.shares().size() &&
                         map.highest_seqnum() < UINT64_MAX;
  if (!all_there) co_return out;
  const auto touched = touched_segments(base->geometry(), now, patch);
  if (touched.count == 0 && now == base->geometry()) co_return Attempt{base->id(), {}};
  auto leaves = co_await retrieve_leaves(at, map, base);
  if (!leaves) co_return out;
  auto plaintext = co_await patched(at, map, base, now, touched, patch);
  if (!plaintext) co_return out;
  auto work = [&] {
    return encode_patch(*base, now, base->id().seqnum + 1, touched, *plaintext, std::move(*leaves),
                        *keys);
  };
  auto encoded = co_await offload(context.pool, std::ref(work));
  if (!encoded) co_return out;
  co_return co_await send(at, map, std::move(*encoded), nullptr);
}

Task<Result<VersionId>> MutableFile::State::repair(bool force, Damaged damaged) {
  if (!writable()) co_return fail(Errc::read_only, "repairing a mutable file takes its write cap");
  const auto at = slot();
  auto map = co_await update(MapMode::check, at);
  for (const auto& [place, found] : std::map(map.shares())) {
    if (damaged.contains({at.id(place.server), place.number})) {
      map.bad(place, found.start, "its blocks are damaged");
    }
  }
  const auto best = map.best();
  if (!best) co_return std::unexpected(not_readable(map, at.servers.size()));
  bool newer = false;
  std::string others;
  for (const auto& versions : {map.recoverable(), map.unrecoverable()}) {
    for (const auto& other : versions) {
      if (other == best || other->id().seqnum < best->id().seqnum) continue;
      newer = true;
      others += (others.empty() ? "" : ", ") + other->id().text();
    }
  }
  if (newer && !force) {
    co_return fail(Errc::conflict, "besides " + best->id().text() +
                                       ", which can be read, there is " + others +
                                       "; repair --force keeps the first and gives up the rest");
  }
  auto have = co_await need_keys(at, map);
  if (!have) co_return std::unexpected(have.error());
  std::vector<Salt> salts;
  auto contents = co_await retrieve(at, map, best, read_key, &salts);
  if (!contents) co_return std::unexpected(contents.error());
  const auto bytes = std::make_shared<const Bytes>(std::move(*contents));
  const auto& g = best->geometry();
  if (!newer) {
    NewVersion version{best->format(), best->id().seqnum, g.k, g.n,
                       g.segment_size, std::move(salts)};
    auto again = co_await encode_again(version, best, map, *bytes);
    if (again) {
      const auto done = co_await send(at, map, std::move(*again), bytes);
      if (!done.outcome) co_return std::unexpected(done.outcome.error());
      co_return done.id;
    }
  }
  const auto done = co_await attempt(at, map, g.k, g.n, bytes);
  if (!done.outcome) co_return std::unexpected(done.outcome.error());
  co_return done.id;
}

Task<std::optional<EncodedVersion>> MutableFile::State::encode_again(const NewVersion& version,
                                                                     ServerMap::Version old,
                                                                     const ServerMap& map,
                                                                     const Bytes& contents) {
  Bytes signature;
  for (const auto& place : map.places(*old)) {
    const auto& start = map.shares().at(place).start;
    const auto here = slice(start, old->offsets().signature, ShareHeader::signature_size);
    if (here) signature = to_bytes(*here);
  }
  if (signature.empty()) co_return std::nullopt;
  auto work = [&]() -> std::optional<EncodedVersion> {
    auto encoder = VersionEncoder::make(version, *keys, contents);
    // Somebody else's packing gives another header, and so another version.
    if (!encoder || encoder->header() != *old) return std::nullopt;
    auto shares = encoder->finish(signature);
    return EncodedVersion{encoder->header(), std::move(shares), {}};
  };
  co_return co_await offload(context.pool, std::ref(work));
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
  const auto bytes = std::make_shared<const Bytes>(std::move(contents));
  const auto done = co_await attempt(at, map, context.k, context.n, bytes);
  if (!done.outcome) co_return std::unexpected(done.outcome.error());
  co_return done.id;
}

Task<Result<VersionId>> MutableFile::State::modify(Change change, int attempts,
                                                   const Patch* patch) {
  if (!writable()) co_return fail(Errc::read_only, "the cap is not a write cap");
  const auto at = slot();
  std::set<VersionId> ours;
  double delay = std::chrono::duration<double>(context.backoff).count();
  Error failure{Errc::collision, {}};
  MapMode mode = MapMode::write;
  VersionId last_base;
  int waits = 0;
  for (int i = 0; i < attempts; ++i) {
    if (i == 0) {
      auto quick = co_await build_on_last(at, change);
      if (quick && quick->outcome) co_return quick->id;
      if (quick && quick->id.seqnum > 0) {
        // Somebody else was here, at the same moment or long before, or servers failed: some shares
        // of it may be about.
        ours.insert(quick->id);
        mode = MapMode::check;
      }
    }
    auto map = co_await update(mode, at);
    mode = MapMode::check;  // from the second time on
    const auto base = choose_base(map, ours, last_base, acknowledged);
    if (!base) co_return std::unexpected(not_readable(map, at.servers.size()));
    if (may_hide_another(map, *base)) {
      failure = {Errc::not_enough_shares,
                 "another new version cannot be read now: " + map.failures()};
      const bool stop = co_await stop_requested();
      if (stop) break;
      if (i + 1 < attempts) co_await back_off(delay);
      continue;
    }
    if (in_the_making(map, *base, ours)) {
      if (waits < most_waits) {
        co_await sleep_for(context.patience);
        ++waits;
        --i;
        continue;
      }
      log::warning("mutable file " + si.text() + ": a newer version than " + base->id().text() +
                   " cannot be read, and is given up");
    }
    last_base = base->id();
    auto have = co_await need_keys(at, map);
    if (!have) co_return std::unexpected(have.error());
    std::optional<Attempt> done;
    if (patch) {
      auto in_place = co_await attempt_patch(at, map, base, *patch);
      const bool possible = in_place.outcome || in_place.outcome.error().code != Errc::unsupported;
      if (possible) done = std::move(in_place);
    }
    if (!done) {
      auto old = co_await retrieve(at, map, base, read_key);
      if (!old) {
        failure = old.error();
        continue;
      }
      const MutableContents present{base->id(), std::make_shared<const Bytes>(std::move(*old))};
      auto changed = co_await apply(change, present);
      if (!changed) co_return std::unexpected(changed.error());
      const bool same = !*changed || **changed == *present.bytes;
      // After a collision even unchanged contents are published: of our earlier attempt some shares
      // are about, and nobody was told that it counts.
      if (same && ours.empty()) co_return base->id();
      const auto contents = same ? present.bytes : *changed;
      done = co_await attempt(at, map, base->geometry().k, base->geometry().n, contents);
    }
    if (done->outcome) co_return done->id;
    failure = done->outcome.error();
    if (failure.code != Errc::collision) break;
    ours.insert(done->id);
    const bool stop = co_await stop_requested();
    if (stop) break;
    if (i + 1 < attempts) co_await back_off(delay);
  }
  co_return std::unexpected(failure);
}

Task<std::optional<MutableFile::State::Attempt>> MutableFile::State::build_on_last(
    const Slot& at, const Change& change) {
  if (!last || Clock::now() >= last->until || !keys || last->servers != ids_of(at))
    co_return std::nullopt;
  const Last base = std::move(*last);
  last.reset();
  const MutableContents present{base.version->id(), base.contents.lock()};
  if (!present.bytes) co_return std::nullopt;
  auto changed = co_await apply(change, present);
  // Nothing to do, or nothing that can be done: only a fresh look may say so.
  if (!changed || !*changed || **changed == *present.bytes) co_return std::nullopt;
  const auto& g = base.version->geometry();
  co_return co_await attempt(at, base.map, g.k, g.n, std::move(*changed));
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
  Slot slot{
      executor,         context.pool,    reports, signatures, si, servers_for(context.roster, si),
      context.deadline, context.patience};
  slot.secrets = PublishSecrets{keys.write_key, context.lease_secret};
  slot.facts = context.facts.get();
  if (slot.servers.empty()) co_return fail(Errc::no_servers, "no storage server is known");
  const ServerMap nothing;
  auto published = co_await publish(slot, nothing, std::move(*encoded));
  if (!published.outcome) co_return std::unexpected(published.outcome.error());
  co_return cap;
}

}  // namespace lafs::grid
