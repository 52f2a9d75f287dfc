// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/map_update.h"

namespace lafs::grid {

namespace {

using storage::ShareKind;

// What one server has: the beginning of each of its shares.
using Holdings = std::map<ShareNo, Bytes>;

Task<> read_start(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
                  std::map<ShareNo, Result<Bytes>>& out) {
  out.insert_or_assign(
      number, co_await server->read(ShareKind::mutable_, si, number, 0, ShareHeader::first_read));
}

Task<Result<Holdings>> fetch_holdings(asio::any_io_executor executor,
                                      std::shared_ptr<storage::Server> server, StorageIndex si) {
  CO_TRY(numbers, co_await server->list(ShareKind::mutable_, si));
  std::map<ShareNo, Result<Bytes>> starts;
  TaskGroup group(executor);
  for (const auto number : numbers) {
    if (number.value <= 255) group.spawn(read_start(server, si, number, starts));
  }
  co_await group.join();
  Holdings out;
  for (auto& [number, start] : starts) {
    if (start) {
      out.emplace(number, std::move(*start));
    } else if (start.error().code != Errc::not_found) {  // gone since it was listed
      co_return std::unexpected(start.error());
    }
  }
  co_return out;
}

// The state of one update; outlives its tasks, which are joined.
struct Update {
  const Slot& slot;
  MapSearch search;
  ServerMap map;
  bool stopped = false;
};

void judge(Update& u, SharePlace place, Bytes start) {
  const bool whole = start.size() < ShareHeader::first_read;
  auto header = ShareHeader::parse(start);
  Result<> good =
      header ? u.slot.signatures.check(*header, start) : std::unexpected(header.error());
  if (!good) {
    u.map.bad(place, start, good.error().context);
    if (!start.empty()) u.slot.report(place, good.error().context);
    return;
  }
  u.map.found(place,
              {std::make_shared<const ShareHeader>(std::move(*header)), std::move(start), whole});
}

Task<> ask(Update& u, ServerNo no) {
  const auto& known = u.slot.servers[no.value];
  Result<Holdings> held;
  for (int attempt = 0; attempt < 2; ++attempt) {
    held = co_await within(u.slot.deadline, "asking " + known.name(),
                           fetch_holdings(u.slot.executor, known.server, u.slot.si));
    if (u.stopped || held || !worth_a_retry(held.error())) break;
  }
  if (u.stopped) co_return;
  if (held) {
    u.map.answered(no);
    for (auto& [number, start] : *held) judge(u, {no, number}, std::move(start));
  } else {
    u.map.failed(no, held.error());
  }
  u.search.settled(no, Clock::now());
}

}  // namespace

Task<ServerMap> update_map(const Slot& slot, MapSearch::Options options) {
  options.servers = slot.servers.size();
  options.patience = options.mode == MapMode::read ? slot.patience : 4 * slot.patience;
  Update u{slot, MapSearch(std::move(options)), {}};
  TaskGroup group(slot.executor);
  while (true) {
    for (const auto no : u.search.next(u.map)) group.spawn(ask(u, no));
    const bool stop = co_await stop_requested();
    if (stop || group.running() == 0 || u.search.done(u.map, Clock::now())) break;
    co_await group.wait_one(u.search.wait_until());
  }
  u.stopped = true;
  group.cancel();
  co_await group.join();
  co_return std::move(u.map);
}

}  // namespace lafs::grid
