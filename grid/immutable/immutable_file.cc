// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/immutable_file.h"

#include <boost/asio/this_coro.hpp>

#include "grid/base/process_metrics.h"
#include "grid/caps/keys.h"
#include "grid/erasure/codec.h"
#include "grid/immutable/on_pool.h"

namespace lafs::grid {

namespace {
// On a line where much takes long, not all servers are asked all the time.
constexpr auto between_rousals = std::chrono::seconds(2);
}  // namespace

ChkVerifyCap verifier_of(const ChkCap& cap) {
  return {storage_index_of(cap.key), cap.ueb_hash, cap.k, cap.n, cap.size};
}

// One segment on its way, for everybody who waits for it.
struct ImmutableFile::Flight {
  Flight(asio::any_io_executor executor, SegmentNo segment, std::uint64_t k)
      : number(segment), requests(k), landed(executor) {}

  SegmentNo number;
  SegmentFetch requests;
  std::map<ShareNo, Bytes> blocks;
  std::size_t waiters = 0;
  std::optional<Result<Segment>> result;
  Signal landed;
};

ImmutableFile::ImmutableFile(asio::any_io_executor executor, const storage::Roster& roster,
                             Pool& pool, ChkVerifyCap cap, DownloadLimits limits)
    : executor_(executor),
      pool_(pool),
      limits_(limits),
      hashes_(cap),
      chooser_(cap.n, limits.chooser),
      news_(executor),
      finder_(executor, roster, cap.storage_index, chooser_, news_, limits.finder),
      gate_(executor),
      tasks_(executor) {}

ImmutableFile::~ImmutableFile() = default;

Task<> ImmutableFile::close() {
  closing_ = true;
  tasks_.cancel();
  news_.notify();
  co_await finder_.close();
  co_await tasks_.join();
  co_await gate_.close();
}

// --- what every search does

ShareReader& ImmutableFile::reader(ShareId id) {
  auto& slot = readers_[id];
  if (!slot) {
    slot = std::make_unique<ShareReader>(executor_, finder_.server(id.server).server, id.number,
                                         hashes_, pool_, limits_.read);
  }
  return *slot;
}

namespace {
struct Figures {
  metrics::Registry& all = metrics::of_process();
  metrics::Histogram& seconds =
      all.histogram("lafs_immutable_segment_seconds", "How long fetching a segment took.",
                    metrics::latency_bounds());
  metrics::Counter& failed =
      all.counter("lafs_immutable_segment_failures_total", "Segments that could not be fetched.");
  metrics::Counter& blocks =
      all.counter("lafs_immutable_blocks_total", "Blocks of shares asked for.");
  metrics::Counter& corrupt = all.counter("lafs_immutable_corrupt_blocks_total",
                                          "Blocks that were not what they should be.");
  metrics::Counter& overdue = all.counter("lafs_immutable_overdue_total",
                                          "Servers that took too long, so that others were asked.");
};

Figures& figures() {
  static Figures out;
  return out;
}
}  // namespace

void ImmutableFile::check_overdue(SegmentFetch& fetch) {
  const auto now = Clock::now();
  const auto patience = chooser_.patience();
  for (auto id : fetch.check_overdue(now, patience)) {
    chooser_.overdue(id.server);
    figures().overdue.add();
  }
  if (!fetch.check_suspicious(now, patience) || now < rouse_again_ || closing_) return;
  rouse_again_ = now + between_rousals;
  for (auto id : chooser_.standby(fetch, now)) {
    chooser_.roused(id.server);
    tasks_.spawn(rouse(id));
  }
}

Task<> ImmutableFile::rouse(ShareId id) {
  const auto there = co_await reader(id).rouse();
  if (there) {
    chooser_.awake(id.server);
  } else if (there.error().code != Errc::cancelled) {
    chooser_.failed(id, there.error(), Clock::now());
    if (there.error().code == Errc::corrupt) report(id, there.error());
  }
  news_.notify();
}

void ImmutableFile::learn(ShareId id, SegmentFetch& fetch, TimePoint begin,
                          const Result<>& outcome) {
  const auto now = Clock::now();
  if (outcome) {
    chooser_.answered(id, now - begin);
    fetch.succeeded(id);
  } else {
    fetch.failed(id);
    // Given up by us: no fault of the server's.
    if (outcome.error().code != Errc::cancelled) chooser_.failed(id, outcome.error(), now);
    if (outcome.error().code == Errc::corrupt) report(id, outcome.error());
  }
  news_.notify();
}

void ImmutableFile::report(ShareId id, const Error& error) {
  if (closing_ || !reported_.insert(id).second) return;
  tasks_.spawn(send_report(id, error.context.empty() ? error.message() : error.context));
}

Task<> ImmutableFile::send_report(ShareId id, std::string reason) {
  const auto server = finder_.server(id.server).server;
  (void)co_await within(std::chrono::seconds(10), "reporting a corrupt share",
                        server->advise_corrupt(storage::ShareKind::immutable, cap().storage_index,
                                               id.number, std::move(reason)));
}

std::unexpected<Error> ImmutableFile::not_enough(std::string_view what) const {
  if (finder_.servers() == 0) {
    return fail(Errc::no_servers, std::string(what) + ": no storage server is known");
  }
  std::string text = std::string(what) + ": needs " + std::to_string(cap().k) + " shares, " +
                     std::to_string(chooser_.distinct_numbers()) + " found on " +
                     std::to_string(finder_.servers()) + " servers";
  std::size_t named = 0, more = 0;
  for (auto& [id, complaint] : chooser_.shares()) {
    if (named == 20) {
      ++more;
      continue;
    }
    text += (named++ ? ", " : " (") + std::string("share ") + std::to_string(id.number.value) +
            " on " + finder_.server(id.server).name();
    if (!complaint.empty()) text += ": " + complaint;
  }
  if (more > 0) text += ", and " + std::to_string(more) + " more";
  if (named > 0) text += ")";
  if (const auto failures = finder_.failures(); !failures.empty()) text += "; " + failures;
  return fail(Errc::not_enough_shares, std::move(text));
}

// --- geometry

Task<Result<Geometry>> ImmutableFile::geometry(std::uint64_t near) {
  CO_TRY_DO(check_usable(cap()));
  auto pass = gate_.enter();
  if (!pass || closing_) co_return fail(Errc::closed, "immutable file");
  const auto round = geometry_rounds_;
  if (!hashes_.known() && !looking_) {
    looking_ = true;
    near_ = near;
    geometry_error_.reset();
    tasks_.spawn(look_for_geometry());
  }
  while (!hashes_.known() && geometry_rounds_ == round && !closing_) {
    co_await news_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "reading a file's sizes");
  }
  if (hashes_.known()) co_return hashes_.geometry();
  if (closing_) co_return fail(Errc::closed, "immutable file");
  co_return std::unexpected(geometry_error_.value_or(Error{Errc::cancelled, "immutable file"}));
}

// Gets k shares ready at once, so that the first segment finds them so; the first one that is ready
// gives the geometry away.
Task<> ImmutableFile::look_for_geometry() {
  auto fetch = std::make_shared<SegmentFetch>(cap().k);
  finder_.refresh(Clock::now());
  while (!hashes_.known() && !closing_) {
    check_overdue(*fetch);
    while (auto id = chooser_.next(*fetch, Clock::now(), finder_.exhausted())) {
      fetch->started(*id, Clock::now());
      chooser_.begun(*id);
      tasks_.spawn(prepare_share(*id, fetch, near_));
    }
    // What needs no waiting happens within spawn(), and nobody would wake us for it.
    if (hashes_.known()) break;
    if (!fetch->covered()) finder_.look_on();
    if (hopeless(*fetch)) {
      geometry_error_ = not_enough("file " + cap().storage_index.text()).error();
      break;
    }
    co_await news_.wait(fetch->next_check(chooser_.patience()));
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  looking_ = false;
  ++geometry_rounds_;
  news_.notify();
}

Task<> ImmutableFile::prepare_share(ShareId id, std::shared_ptr<SegmentFetch> fetch,
                                    std::uint64_t near) {
  const auto begin = Clock::now();
  const auto outcome = co_await reader(id).prepare(near);
  learn(id, *fetch, begin, outcome);
}

// --- segments

Task<Result<std::shared_ptr<const Bytes>>> ImmutableFile::segment(SegmentNo number) {
  CO_TRY_DO(check_usable(cap()));
  auto pass = gate_.enter();
  if (!pass || closing_) co_return fail(Errc::closed, "immutable file");
  const auto& sizes = hashes_.known() ? hashes_.geometry() : hashes_.guess();
  const auto near = number.value < sizes.num_segments ? sizes.segment_offset(number) : 0;
  CO_TRY(geometry, co_await this->geometry(near));
  if (number.value >= geometry.num_segments) {
    co_return fail(Errc::bad_argument, "segment " + std::to_string(number.value) + " of " +
                                           std::to_string(geometry.num_segments));
  }
  if (closing_) co_return fail(Errc::closed, "immutable file");
  auto flight = flights_[number];
  if (!flight) {
    flight = flights_[number] = std::make_shared<Flight>(executor_, number, geometry.k);
    tasks_.spawn(fly(flight));
  }
  ++flight->waiters;
  bool stop = co_await stop_requested();
  while (!flight->result && !stop) {
    co_await flight->landed.wait();
    stop = co_await stop_requested();
  }
  --flight->waiters;
  if (flight->result) co_return *flight->result;
  news_.notify();  // perhaps nobody waits for it any more
  co_return fail(Errc::cancelled, "reading a segment");
}

Task<> ImmutableFile::fly(std::shared_ptr<Flight> flight) {
  const auto begin = Clock::now();
  auto result = co_await fetch(*flight);
  const std::chrono::duration<double> took = Clock::now() - begin;
  if (result) figures().seconds.observe(took.count());
  if (!result && result.error().code != Errc::cancelled) figures().failed.add();
  if (!result && closing_) result = fail(Errc::closed, "immutable file");
  // A flight that was given up may have a successor of the same number already.
  auto it = flights_.find(flight->number);
  if (it != flights_.end() && it->second == flight) flights_.erase(it);
  if (flights_.empty()) hashes_.trim();
  flight->blocks.clear();
  flight->result = std::move(result);
  flight->landed.notify();
}

Task<Result<ImmutableFile::Segment>> ImmutableFile::fetch(Flight& flight) {
  auto& requests = flight.requests;
  TaskGroup asking(co_await asio::this_coro::executor);
  if (!closing_) finder_.refresh(Clock::now());
  std::optional<Error> error;
  // The caller that started this flight is about to wait for it.
  bool awaited = false;
  while (!requests.enough()) {
    const bool stop = co_await stop_requested();
    awaited = awaited || flight.waiters > 0;
    if (stop || closing_ || (awaited && flight.waiters == 0)) {
      error = Error{Errc::cancelled, "reading a segment"};
      // Who comes now starts anew.
      flights_.erase(flight.number);
      break;
    }
    check_overdue(requests);
    while (auto id = chooser_.next(requests, Clock::now(), finder_.exhausted())) {
      requests.started(*id, Clock::now());
      chooser_.begun(*id);
      asking.spawn(fetch_block(*id, flight));
    }
    if (requests.enough()) break;
    if (!requests.covered()) finder_.look_on();
    if (hopeless(requests)) {
      error = not_enough("segment " + std::to_string(flight.number.value) + " of file " +
                         cap().storage_index.text())
                  .error();
      break;
    }
    co_await news_.wait(requests.next_check(chooser_.patience()));
  }
  asking.cancel();
  co_await asking.join();
  if (error && !requests.enough()) co_return std::unexpected(std::move(*error));
  co_return co_await decode(flight);
}

Task<> ImmutableFile::fetch_block(ShareId id, Flight& flight) {
  const auto begin = Clock::now();
  figures().blocks.add();
  auto block = co_await reader(id).block(flight.number);
  if (!block && block.error().code == Errc::corrupt) figures().corrupt.add();
  Result<> outcome;
  if (block) {
    flight.blocks[id.number] = std::move(*block);
  } else {
    outcome = std::unexpected(std::move(block).error());
  }
  learn(id, flight.requests, begin, outcome);
}

Task<Result<ImmutableFile::Segment>> ImmutableFile::decode(Flight& flight) {
  const auto& g = hashes_.geometry();
  const auto expected = hashes_.ciphertext_tree().leaf(flight.number.value);
  if (!expected) co_return fail(Errc::internal, "a segment without its hash");
  CO_TRY(codec, Codec::make(static_cast<unsigned>(g.k), static_cast<unsigned>(g.n)));
  auto out = std::make_shared<Bytes>(g.padded_length(flight.number));
  Result<> decoded;
  auto work = [&] {
    const auto length = g.block_length(flight.number);
    std::vector<unsigned> numbers;
    std::vector<const std::uint8_t*> blocks;
    std::vector<std::uint8_t*> pieces;
    for (auto& [number, block] : flight.blocks) {
      if (numbers.size() == g.k) break;
      numbers.push_back(static_cast<unsigned>(number.value));
      blocks.push_back(block.data());
    }
    for (std::uint64_t i = 0; i < g.k; ++i) pieces.push_back(out->data() + i * length);
    decoded = codec->decode(numbers, blocks, pieces, length);
    if (!decoded) return;
    out->resize(g.segment_length(flight.number));
    thread_local TaggedHasher hasher("allmydata_crypttext_segment_v1");
    // Blocks that are each what the uploader hashed, and do not fit together.
    if (hasher.hash(*out) != *expected) {
      decoded = fail(Errc::corrupt, "segment " + std::to_string(flight.number.value) +
                                        " was encoded inconsistently by its uploader");
    }
  };
  co_await on_pool(pool_, g.segment_length(flight.number), work);
  if (!decoded) co_return std::unexpected(std::move(decoded).error());
  co_return Segment(std::move(out));
}

}  // namespace lafs::grid
