// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/retrieve.h"

namespace lafs::grid {

namespace {

using storage::ShareKind;

// Hashing or decoding more than this leaves the I/O thread.
constexpr std::uint64_t inline_bytes = 32 * 1024;

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

// The state of one retrieval; outlives its tasks, which are joined.
struct Retrieval {
  const Slot& slot;
  ServerMap& map;
  ServerMap::Version version;
  ShareQueue queue;
  std::map<ShareNo, Bytes> shares;  // checked, complete
  std::vector<std::string> failures;
  bool stopped = false;
};

// Checks on the I/O thread what is small, elsewhere what is not.
Task<Result<>> check(Pool& pool, ServerMap::Version version, const Bytes& share, ShareNo number) {
  if (share.size() <= inline_bytes) co_return check_body(*version, share, number);
  auto work = [&] { return check_body(*version, share, number); };
  co_return co_await offload(pool, std::ref(work));
}

Task<> fetch(Retrieval& r, SharePlace place) {
  const auto& found = r.map.shares().at(place);
  Bytes share = found.start;
  const auto end = r.version->offsets().end;
  if (!found.whole && share.size() < end) {
    const auto from = share.size();
    auto rest =
        co_await within(r.slot.deadline, "reading from " + r.slot.name(place.server),
                        r.slot.server(place.server)
                            .read(ShareKind::mutable_, r.slot.si, place.number, from, end - from));
    if (r.stopped) co_return;
    if (!rest) {
      r.failures.push_back(rest.error().message());
      r.queue.failed(place);
      co_return;
    }
    append(share, *rest);
  }
  const auto good = co_await check(r.slot.pool, r.version, share, place.number);
  if (r.stopped) co_return;
  if (!good) {
    r.failures.push_back(r.slot.name(place.server) + ": " + good.error().message());
    r.map.bad(place, share, good.error().context);
    r.slot.report(place, good.error().context);
    r.queue.failed(place);
    co_return;
  }
  r.queue.good(place);
  r.shares.insert_or_assign(place.number, std::move(share));
}

Result<Bytes> decode(const ShareHeader& version, const std::map<ShareNo, Bytes>& shares,
                     const Key16& read_key) {
  std::vector<NumberedShare> chosen;
  for (const auto& [number, share] : shares) {
    if (chosen.size() < version.geometry().k) chosen.push_back({number, share});
  }
  return decode_version(version, chosen, read_key);
}

}  // namespace

Task<Result<Bytes>> retrieve(const Slot& slot, ServerMap& map, ServerMap::Version version,
                             Key16 read_key) {
  const auto k = version->geometry().k;
  Retrieval r{slot, map, version, ShareQueue(map, *version), {}, {}};
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
                      " shares of " + version->id().text() + " could be read";
    for (const auto& failure : r.failures) why += "; " + failure;
    co_return fail(Errc::not_enough_shares, std::move(why));
  }
  if (version->geometry().data_length <= inline_bytes) {
    co_return decode(*version, r.shares, read_key);
  }
  auto work = [&] { return decode(*version, r.shares, read_key); };
  co_return co_await offload(slot.pool, std::ref(work));
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
