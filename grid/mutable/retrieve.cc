// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/retrieve.h"

#include "grid/crypto/merkle.h"

namespace lafs::grid {

namespace {

using storage::ShareKind;

// Plaintext whose blocks are read at once from a share that is verified.
constexpr std::uint64_t verified_at_once = 4 * 1024 * 1024;
// Hashing or decoding more than this leaves the I/O thread.
constexpr std::uint64_t inline_bytes = 32 * 1024;
// Shares up to this size are kept on the map: a directory's, usually.
constexpr std::size_t kept_of_share = 1024 * 1024;

}  // namespace

ShareQueue::ShareQueue(const ServerMap& map, const ShareHeader& version)
    : waiting_(map.places(version)) {
  const auto rank = [&](const SharePlace& place) {
    const auto& share = map.shares().at(place);
    const bool here = share.whole || share.start.size() >= version.offsets().end;
    return std::tuple(!here, place.number, place.server);
  };
  std::ranges::sort(waiting_, {}, rank);
}

std::optional<SharePlace> ShareQueue::next(bool hedge) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (good_.contains(it->number) || (!hedge && under_way_.contains(it->number))) continue;
    const auto place = *it;
    waiting_.erase(it);
    ++under_way_[place.number];
    return place;
  }
  return std::nullopt;
}

void ShareQueue::good(SharePlace place) {
  failed(place);
  good_.insert(place.number);
}

void ShareQueue::failed(SharePlace place) {
  const auto it = under_way_.find(place.number);
  if (it != under_way_.end() && --it->second == 0) under_way_.erase(it);
}

namespace {

// A share, or a part of it, that passed its checks.
struct Part {
  Bytes bytes;
  std::uint64_t begin = 0;
};

// The state of one retrieval; outlives its tasks, which are joined.
struct Retrieval {
  const Slot& slot;
  ServerMap& map;
  ServerMap::Version version;
  ShareQueue queue;
  std::optional<SegmentRange> segments;  // nothing: everything
  std::map<ShareNo, Part> shares{};
  std::vector<std::string> failures{};
  std::vector<Salt>* salts = nullptr;  // of all segments, when somebody wants them
  bool stopped = false;
};

// Checks on the I/O thread what is small, elsewhere what is not.
template <class F>
Task<std::invoke_result_t<F&>> checked(Pool& pool, std::size_t size, F work) {
  if (size <= inline_bytes) co_return work();
  co_return co_await offload(pool, std::ref(work));
}

// [begin, end) of a share, of which `have` is the beginning.
Task<Result<Bytes>> read_part(const Slot& slot, SharePlace place, const FoundShare& found,
                              ByteRange range) {
  Bytes out;
  if (range.begin < found.start.size()) {
    const auto end = std::min<std::uint64_t>(range.end, found.start.size());
    out = to_bytes(ByteView(found.start).subspan(range.begin, end - range.begin));
  }
  const auto from = range.begin + out.size();
  if (from >= range.end || found.whole) co_return out;
  auto rest = co_await within(
      slot.deadline, "reading from " + slot.name(place.server),
      slot.server(place.server)
          .read(ShareKind::mutable_, slot.si, place.number, from, range.end - from));
  if (!rest) co_return std::unexpected(std::move(rest).error());
  append(out, *rest);
  co_return out;
}

Task<> read_part_into(const Slot& slot, SharePlace place, const FoundShare& found, ByteRange range,
                      Result<Bytes>& out) {
  out = co_await read_part(slot, place, found, range);
}

// The leaves and some blocks, side by side; blocks last, none when there are no segments.
Task<Result<std::vector<Hash32>>> read_segments(const Slot& slot, ServerMap::Version version,
                                                SharePlace place, FoundShare found,
                                                SegmentRange segments, Bytes& blocks) {
  const auto leaves_at = leaves_range(*version);
  const auto blocks_at = blocks_range(*version, segments);
  // What was read first may end before the chain, when somebody packed the front loosely.
  const auto& o = version->offsets();
  const ByteRange front{0, o.share_hash_chain + version->chain_size()};
  Result<Bytes> leaves, start, data;
  TaskGroup group(slot.executor);
  group.spawn(read_part_into(slot, place, found, leaves_at, leaves));
  group.spawn(read_part_into(slot, place, found, front, start));
  if (blocks_at.size() > 0) group.spawn(read_part_into(slot, place, found, blocks_at, data));
  co_await group.join();
  if (!leaves) co_return std::unexpected(std::move(leaves).error());
  if (!start) co_return std::unexpected(std::move(start).error());
  if (!data) co_return std::unexpected(std::move(data).error());
  blocks = std::move(*data);
  auto work = [&]() -> Result<std::vector<Hash32>> {
    TRY(good, check_leaves(*version, *start, *leaves, place.number));
    TRY_DO(check_blocks(*version, blocks, segments, good));
    return good;
  };
  co_return co_await checked(slot.pool, leaves->size() + blocks.size(), std::ref(work));
}

Task<Result<Part>> read_share(Retrieval& r, SharePlace place) {
  const auto found = r.map.shares().at(place);  // the map may forget it meanwhile
  if (r.segments) {
    Part part{{}, blocks_range(*r.version, *r.segments).begin};
    auto leaves = co_await read_segments(r.slot, r.version, place, found, *r.segments, part.bytes);
    if (!leaves) co_return std::unexpected(std::move(leaves).error());
    co_return part;
  }
  auto share = co_await read_part(r.slot, place, found, {0, r.version->offsets().end});
  if (!share) co_return std::unexpected(std::move(share).error());
  Part part{std::move(*share), 0};
  auto work = [&] { return check_body(*r.version, part.bytes, place.number); };
  auto good = co_await checked(r.slot.pool, part.bytes.size(), std::ref(work));
  if (good) co_return part;
  r.map.bad(place, part.bytes, good.error().context);
  co_return std::unexpected(std::move(good).error());
}

Task<> fetch(Retrieval& r, SharePlace place) {
  auto part = co_await read_share(r, place);
  if (r.stopped) co_return;
  if (part) {
    r.queue.good(place);
    r.shares.insert_or_assign(place.number, std::move(*part));
    co_return;
  }
  const auto& error = part.error();
  r.failures.push_back(r.slot.name(place.server) + ": " + error.message());
  r.queue.failed(place);
  if (error.code != Errc::corrupt) co_return;
  r.slot.report(place, error.context);
  if (r.segments) r.map.bad(place, Bytes(r.map.shares().at(place).start), error.context);
}

Result<Bytes> decode(const Retrieval& r, const Key16& read_key) {
  std::vector<NumberedShare> chosen;
  for (const auto& [number, part] : r.shares) {
    if (chosen.size() == r.version->geometry().k) break;
    chosen.push_back({number, part.bytes, part.begin});
  }
  const auto all = SegmentRange{0, r.version->geometry().segments()};
  return decode_segments(*r.version, r.segments.value_or(all), chosen, read_key);
}

Task<Result<Bytes>> retrieve_with(Retrieval r, Key16 read_key) {
  const auto k = r.version->geometry().k;
  const auto& slot = r.slot;
  TaskGroup group(slot.executor);
  auto last_news = Clock::now();
  std::size_t settled = 0;
  std::size_t started = 0;
  while (r.shares.size() < k) {
    if (started - group.running() > settled) {
      settled = started - group.running();
      last_news = Clock::now();
    }
    while (group.running() + r.shares.size() < k) {
      const auto place = r.queue.next();
      if (!place) break;
      ++started;
      group.spawn(fetch(r, *place));
    }
    // Somebody is slow: ask for one share more than needed, again after each further wait.
    if (group.running() > 0 && Clock::now() >= last_news + slot.patience) {
      if (const auto place = r.queue.next(true)) {
        ++started;
        group.spawn(fetch(r, *place));
      }
      last_news = Clock::now();
    }
    const bool stop = co_await stop_requested();
    if (stop || group.running() == 0) break;
    co_await group.wait_one(last_news + slot.patience);
  }
  r.stopped = true;
  group.cancel();
  co_await group.join();
  if (r.shares.size() < k) {
    std::string why = "only " + std::to_string(r.shares.size()) + " of " + std::to_string(k) +
                      " shares of " + r.version->id().text() + " could be read";
    for (const auto& failure : r.failures) why += "; " + failure;
    co_return fail(Errc::not_enough_shares, std::move(why));
  }
  if (r.salts) {
    const auto& part = r.shares.begin()->second;
    r.salts->push_back(r.version->iv());
    if (r.version->format() == MutableFormat::mdmf) r.salts->clear();
    for (std::uint64_t s = r.salts->size(); s < r.version->geometry().segments(); ++s) {
      r.salts->push_back(salt_of(*r.version, part.bytes, s));
    }
  }
  if (!r.segments) {
    for (const auto& [place, found] : std::map(r.map.shares())) {
      const auto it = r.shares.find(place.number);
      if (it == r.shares.end() || *found.header != *r.version) continue;
      if (found.start.size() < it->second.bytes.size() &&
          it->second.bytes.size() <= kept_of_share) {
        r.map.read_more(place, it->second.bytes);
      }
    }
  }
  const auto size = r.segments ? r.segments->count * r.version->geometry().segment_size
                               : r.version->geometry().data_length;
  auto work = [&] { return decode(r, read_key); };
  co_return co_await checked(slot.pool, size, std::ref(work));
}

Task<> leaves_of(const Slot& slot, ServerMap& map, ServerMap::Version version, SharePlace place,
                 std::vector<std::vector<Hash32>>& out, Result<>& outcome) {
  const auto found = map.shares().at(place);
  Bytes none;
  auto leaves = co_await read_segments(slot, version, place, found, {}, none);
  if (leaves) {
    out[place.number.value] = std::move(*leaves);
    co_return;
  }
  if (leaves.error().code == Errc::corrupt) {
    map.bad(place, found.start, leaves.error().context);
    slot.report(place, leaves.error().context);
  }
  outcome = std::unexpected(std::move(leaves).error());
}

}  // namespace

Task<Result<Bytes>> retrieve(const Slot& slot, ServerMap& map, ServerMap::Version version,
                             Key16 read_key, std::vector<Salt>* salts) {
  Retrieval r{slot, map, version, ShareQueue(map, *version), std::nullopt};
  r.salts = salts;
  co_return co_await retrieve_with(std::move(r), read_key);
}

Task<Result<Bytes>> retrieve_segments(const Slot& slot, ServerMap& map, ServerMap::Version version,
                                      Key16 read_key, SegmentRange segments) {
  if (segments.count == 0) co_return Bytes();
  Retrieval r{slot, map, version, ShareQueue(map, *version), segments};
  co_return co_await retrieve_with(std::move(r), read_key);
}

Task<Result<std::vector<std::vector<Hash32>>>> retrieve_leaves(const Slot& slot, ServerMap& map,
                                                               ServerMap::Version version) {
  std::vector<std::vector<Hash32>> out(version->geometry().n);
  Result<> outcome;
  TaskGroup group(slot.executor);
  // Every copy: one that is damaged must not become a part of the new version.
  for (const auto place : map.places(*version)) {
    group.spawn(leaves_of(slot, map, version, place, out, outcome));
  }
  co_await group.join();
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  co_return out;
}

Task<Result<>> verify_share(const Slot& slot, SharePlace place, FoundShare found,
                            std::optional<Key16> write_key, std::shared_ptr<Throttle> throttle) {
  const auto version = found.header;
  const auto& o = version->offsets();
  const auto segments = version->geometry().segments();
  const bool sdmf = version->format() == MutableFormat::sdmf;
  if (throttle) co_await throttle->take(sdmf ? o.end : version->tree_size());
  if (sdmf) {
    auto share = co_await read_part(slot, place, found, {0, o.end});
    if (!share) co_return std::unexpected(std::move(share).error());
    auto work = [&] { return check_body(*version, *share, place.number); };
    auto good = co_await checked(slot.pool, share->size(), std::ref(work));
    if (!good) co_return good;
    found.start = std::move(*share);
  } else {
    Bytes none;
    auto leaves = co_await read_segments(slot, version, place, found, {}, none);
    if (!leaves) co_return std::unexpected(std::move(leaves).error());
    auto tree = co_await read_part(slot, place, found,
                                   {o.block_hash_tree, o.block_hash_tree + version->tree_size()});
    if (!tree) co_return std::unexpected(std::move(tree).error());
    Bytes expected;
    for (const auto& node : merkle_tree(*leaves)) append(expected, node);
    if (*tree != expected) co_return fail(Errc::corrupt, "mutable share: block hash tree");
    const auto step = 1 + verified_at_once / (version->geometry().segment_size + 1);
    for (std::uint64_t s = 0; s < segments; s += step) {
      const bool stop = co_await stop_requested();
      if (stop) co_return fail(Errc::cancelled, "verifying a share");
      const SegmentRange some{s, std::min(step, segments - s)};
      const auto range = blocks_range(*version, some);
      if (throttle) co_await throttle->take(range.size());
      auto blocks = co_await read_part(slot, place, found, range);
      if (!blocks) co_return std::unexpected(std::move(blocks).error());
      auto work = [&] { return check_blocks(*version, *blocks, some, *leaves); };
      auto good = co_await checked(slot.pool, blocks->size(), std::ref(work));
      if (!good) co_return good;
    }
  }
  if (!write_key) co_return Result<>();
  auto encrypted = co_await read_part(slot, place, found, {o.private_key, o.private_key_end});
  if (!encrypted) co_return std::unexpected(std::move(encrypted).error());
  auto key = decrypt_private_key(*encrypted, *write_key);
  if (!key) co_return std::unexpected(std::move(key).error());
  co_return Result<>();
}

Task<Result<RsaPrivateKey>> retrieve_private_key(const Slot& slot, const ServerMap& map,
                                                 Key16 write_key) {
  Error last{Errc::not_enough_shares, "no share has the private key"};
  // First those that need no request.
  for (const bool ask : {false, true}) {
    for (const auto& [place, found] : map.shares()) {
      const auto here = private_key_in(*found.header, found.start);
      if (here.has_value() == ask) continue;
      Bytes encrypted = here ? to_bytes(*here) : Bytes();
      if (!here) {
        const auto& o = found.header->offsets();
        auto read = co_await within(slot.deadline, "reading from " + slot.name(place.server),
                                    slot.server(place.server)
                                        .read(storage::ShareKind::mutable_, slot.si, place.number,
                                              o.private_key, o.private_key_end - o.private_key));
        if (!read) {
          last = read.error();
          continue;
        }
        encrypted = std::move(*read);
      }
      auto key = decrypt_private_key(encrypted, write_key);
      if (key) co_return key;
      last = key.error();
      slot.report(place, last.context);
    }
  }
  co_return std::unexpected(last);
}

}  // namespace lafs::grid
