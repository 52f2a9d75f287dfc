// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/map_update.h"

namespace lafs::grid {

namespace {

using storage::ShareKind;

// What one server has: the beginning of each of its shares.
using Holdings = std::map<ShareNo, Bytes>;

Task<> read_start(std::shared_ptr<storage::Server> server, StorageIndex si, ShareNo number,
                  std::size_t length, std::map<ShareNo, Result<Bytes>>& out) {
  auto start = co_await server->read(ShareKind::mutable_, si, number, 0, length);
  out.insert_or_assign(number, std::move(start));
}

constexpr std::uint64_t most_numbers = 255;

// One request says it all, to whoever may write. A server that does not believe us, or does not
// like a request that changes nothing, is asked as a reader would.
Task<std::optional<Result<Holdings>>> fetch_as_writer(const Slot& slot, ServerNo no) {
  storage::ReadTestWrite request;
  request.reads.push_back({0, slot.first_read});
  auto reply =
      co_await slot.server(no).read_test_write(slot.si, slot.secrets_for(no), std::move(request));
  if (!reply) {
    const auto code = reply.error().code;
    const bool as_reader = code == Errc::unauthorized || code == Errc::refused ||
                           code == Errc::unsupported || code == Errc::protocol ||
                           code == Errc::no_space;
    if (as_reader) co_return std::nullopt;
    co_return Result<Holdings>(std::unexpected(std::move(reply).error()));
  }
  Holdings out;
  for (auto& [number, data] : reply->data) {
    if (number.value <= most_numbers && !data.empty()) out.emplace(number, std::move(data[0]));
  }
  co_return Result<Holdings>(std::move(out));
}

Task<> list_shares(std::shared_ptr<storage::Server> server, StorageIndex si,
                   Result<std::set<ShareNo>>& out) {
  out = co_await server->list(ShareKind::mutable_, si);
}

// The shares are listed and at the same time those are read that are there most likely: what the
// server held when it was asked last, else the number that a new file puts there.
Task<Result<Holdings>> fetch_as_reader(const Slot& slot, ServerNo no, bool guess) {
  const auto& server = slot.servers[no.value].server;
  std::map<ShareNo, Result<Bytes>> starts;
  Result<std::set<ShareNo>> numbers;
  TaskGroup group(slot.executor);
  group.spawn(list_shares(server, slot.si, numbers));
  std::set<ShareNo> guesses;
  if (const auto lately = slot.held_lately.find(slot.id(no)); lately != slot.held_lately.end()) {
    guesses = lately->second;
  } else if (guess) {
    guesses.insert(ShareNo{no.value});
  }
  for (const auto number : guesses) {
    group.spawn(read_start(server, slot.si, number, slot.first_read, starts));
  }
  co_await group.join();
  if (!numbers) co_return std::unexpected(std::move(numbers).error());
  for (const auto number : *numbers) {
    if (number.value > most_numbers || starts.contains(number)) continue;
    group.spawn(read_start(server, slot.si, number, slot.first_read, starts));
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

Task<Result<Holdings>> fetch_holdings(const Slot& slot, ServerNo no, bool guess) {
  if (slot.secrets) {
    auto held = co_await fetch_as_writer(slot, no);
    if (held) co_return std::move(*held);
  }
  co_return co_await fetch_as_reader(slot, no, guess);
}

// The state of one update; outlives its tasks, which are joined.
struct Update {
  const Slot& slot;
  MapSearch search;
  ServerMap map;
  std::uint64_t guesses = 0;  // servers among the first so many hold the share of their place
  bool stopped = false;
};

void judge(Update& u, SharePlace place, Bytes start) {
  const bool whole = start.size() < u.slot.first_read;
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
                           fetch_holdings(u.slot, no, no.value < u.guesses));
    if (u.stopped || held || !worth_a_retry(held.error())) break;
  }
  // An answer that is late is as true as the others.
  if (u.stopped && !held) co_return;
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
  const auto guesses = options.mode == MapMode::read ? options.n : 0;
  Update u{slot, MapSearch(std::move(options)), {}, guesses};
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
