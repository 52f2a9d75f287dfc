// SPDX-License-Identifier: Apache-2.0

// The power goes before every step of every change. A disk keeps what was synced; of the rest it
// may keep anything. Four disks stand for that: one that keeps nothing but what was synced, one
// that keeps all names but only synced contents (the usual file system), one that keeps all
// contents but only synced names, and one that keeps all names and of each file the last write, but
// not what was written before that.
//
// Disks that break their word show that these tests can fail: to the server's files they do what a
// server without this or that sync, or with one behind the rename, would do to them.

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>
#include <mutex>

#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

namespace {

namespace stdfs = std::filesystem;

std::int64_t server_time = 0;
bool with_journal = true;  // whether mutable shares change by way of the journal

enum class Keeps : std::uint8_t { synced_only, all_names, all_contents, last_write };
enum class Lie : std::uint8_t { none, no_file_syncs, no_directory_syncs, late_file_syncs };

// What of `synced` is left when only the change from `before` to `after` reached the disk too.
Bytes with_change(Bytes synced, const Bytes& before, const Bytes& after) {
  if (after.size() < before.size()) synced.resize(after.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i < before.size() && before[i] == after[i]) continue;
    if (i >= synced.size()) synced.resize(i + 1);
    synced[i] = after[i];
  }
  return synced;
}

// What a disk remembers of the files below one directory.
class Memory {
 public:
  // Everything that is there now is synced.
  Memory(stdfs::path root, Lie lie) : root_(std::move(root)), lie_(lie) {
    if (!stdfs::exists(root_)) return;
    for (const auto& entry : stdfs::recursive_directory_iterator(root_)) {
      if (entry.is_directory()) {
        names_[entry.path()] = durable_names_[entry.path()] = directory;
      } else {
        const auto id = add(entry.path());
        synced_[id] = contents_[id] = last_written_[id] = read_file(entry.path());
        durable_names_[entry.path()] = id;
      }
    }
  }

  void learn(std::string_view step, const stdfs::path& path, const stdfs::path& to) {
    if (step == "create") add(path);
    if (step == "mkdir") names_[path] = directory;
    if (step == "remove" || step == "rmdir") names_.erase(path);
    if (step == "rename") rename(path, to);
    if (step == "create" || step == "write" || step == "resize" || step == "copy" ||
        step == "sync") {
      const auto id = names_.at(path);
      auto now = read_file(path);
      if (step != "sync") last_written_[id] = with_change(synced_[id], contents_[id], now);
      contents_[id] = std::move(now);
      if (step == "sync" && lie_ == Lie::none) sync(id);
      if (step == "sync" && lie_ == Lie::no_directory_syncs) sync(id);
      if (step == "sync" && lie_ == Lie::late_file_syncs) late_.insert(id);
    }
    if (step == "sync all") learn_sync_of_all();
    if (step == "sync directory" && lie_ != Lie::no_directory_syncs) {
      for (auto id : std::exchange(late_, {})) sync(id);
      std::erase_if(durable_names_, [&](const auto& n) { return n.first.parent_path() == path; });
      for (const auto& n : names_) {
        if (n.first.parent_path() == path) durable_names_.insert(n);
      }
    }
  }

  // Makes the directory what the disk kept.
  void cut(Keeps keeps) const {
    stdfs::remove_all(root_);
    stdfs::create_directories(root_);
    // Sorted by path, so a directory comes before what is in it.
    const bool all_names = keeps == Keeps::all_names || keeps == Keeps::last_write;
    for (const auto& [path, id] : all_names ? names_ : durable_names_) {
      if (!stdfs::exists(path.parent_path())) continue;  // its directory did not last
      if (id == directory) {
        stdfs::create_directory(path);
        continue;
      }
      const auto& contents = keeps == Keeps::all_contents ? contents_
                             : keeps == Keeps::last_write ? last_written_
                                                          : synced_;
      const auto found = contents.find(id);
      write_file(path, found == contents.end() ? Bytes{} : found->second);
    }
  }

 private:
  static constexpr int directory = 0;
  void rename(const stdfs::path& from, const stdfs::path& to) {
    std::map<stdfs::path, int> moved;
    for (const auto& [path, id] : names_) {
      const auto below = path.lexically_relative(from).string();
      if (below == ".") moved[to] = id;
      if (below != "." && !below.starts_with("..")) moved[to / below] = id;
    }
    std::erase_if(names_, [&](const auto& n) {
      return !n.first.lexically_relative(from).string().starts_with("..");
    });
    for (const auto& [path, id] : moved) names_[path] = id;
  }
  void learn_sync_of_all() {
    for (auto id : std::exchange(late_, {})) sync(id);
    for (const auto& [path, id] : names_) {
      if (id == directory) continue;
      contents_[id] = read_file(path);
      if (lie_ == Lie::none || lie_ == Lie::no_directory_syncs) sync(id);
      if (lie_ == Lie::late_file_syncs) late_.insert(id);
    }
    if (lie_ != Lie::no_directory_syncs) durable_names_ = names_;
  }
  int add(const stdfs::path& path) { return names_[path] = ++last_; }
  void sync(int id) { synced_[id] = last_written_[id] = contents_[id]; }

  stdfs::path root_;
  Lie lie_;
  int last_ = directory;
  std::map<stdfs::path, int> names_;
  std::map<stdfs::path, int> durable_names_;
  std::map<int, Bytes> contents_;
  std::map<int, Bytes> synced_;
  std::map<int, Bytes> last_written_;  // what was synced, and the last write
  std::set<int> late_;                 // synced when the next directory is
};

struct Outcome {
  int steps = 0;
  int wrong = 0;  // cuts that left what must not be
};

// Runs `change` on what `before` left, cuts the power before the step `last`, and looks with
// `after(server, acknowledged)`, which says whether all is well. Whether the cut came before the
// end.
template <class Before, class Change, class After>
bool cut_at(int last, Keeps keeps, Lie lie, Before before, Change change, After after,
            Outcome& outcome) {
  DiskFixture fixture;
  fixture.options.usage_index = false;
  fixture.options.unix_time = [] { return server_time; };
  fixture.options.journal = with_journal;
  fixture.with_server(before);
  const auto root = fixture.options.directory;
  std::mutex one_by_one;  // several threads of the server take steps
  std::optional<Memory> memory;
  int step = 0;
  bool cut = false;
  bool acknowledged = false;
  fixture.options.allow_step = [&](std::string_view) {
    const std::lock_guard lock(one_by_one);
    if (!memory) return true;
    cut = cut || step == last;
    ++step;
    return !cut;
  };
  fixture.options.step_done = [&](std::string_view name, const stdfs::path& path,
                                  const stdfs::path& to) {
    const std::lock_guard lock(one_by_one);
    if (memory && !cut) memory->learn(name, path, to);
  };
  std::optional<Memory> at_the_end;
  auto body = [&](Server& server) -> Task<> {
    {
      const std::lock_guard lock(one_by_one);
      memory.emplace(root, lie);
    }
    acknowledged = co_await change(server);
    const std::lock_guard lock(one_by_one);
    at_the_end = std::move(memory);  // what closing the server does comes after the cut
    memory.reset();
  };
  fixture.with_server(body);
  at_the_end->cut(keeps);
  fixture.options.allow_step = {};
  fixture.options.step_done = {};
  bool right = false;
  auto look = [&](Server& server) -> Task<> { right = co_await after(server, acknowledged); };
  fixture.with_server(look);
  if (!right) {
    ++outcome.wrong;
    if (lie == Lie::none) {
      UNSCOPED_INFO("wrong after a cut before step " << last << ", disk "
                                                     << static_cast<int>(keeps));
    }
  }
  return cut;
}

// Cuts at every step, on every kind of disk.
template <class Before, class Change, class After>
Outcome cut_everywhere(Before before, Change change, After after, Lie lie = Lie::none) {
  Outcome out;
  for (auto keeps :
       {Keeps::synced_only, Keeps::all_names, Keeps::all_contents, Keeps::last_write}) {
    // A lie is found when one cut is.
    if (lie != Lie::none && out.wrong > 0) break;
    for (out.steps = 0; cut_at(out.steps, keeps, lie, before, change, after, out); ++out.steps) {
    }
  }
  return out;
}

const MutableSecrets owner{Secret32{}, {Secret32{}, Secret32{}}};
const StorageIndex si{};

Task<> nothing(Server&) { co_return; }

Task<> make_mutable(Server& server) {
  auto made = co_await server.read_test_write(si, owner, put(0, 0, pattern(4000)));
  CHECK(made);
}

Task<bool> change_mutable(Server& server) {
  auto request = put(0, 100, pattern(6000, 1));
  auto done = co_await server.read_test_write(si, owner, request);
  co_return done && done->success;
}

Task<bool> old_or_new(Server& server, bool acknowledged) {
  auto next = pattern(4000);
  next.resize(100);
  append(next, pattern(6000, 1));
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 0, 1 << 20);
  co_return found && (*found == next || (!acknowledged && *found == pattern(4000)));
}

// Of the journal: a change past it (a lease) has it settled first.
Task<bool> change_lease_change(Server& server) {
  const bool first = co_await change_mutable(server);
  if (!first) co_return false;
  auto leased = co_await server.add_lease(si, fresh_lease());
  if (!leased) co_return false;
  auto again = co_await server.read_test_write(si, owner, put(0, 0, pattern(300, 2)));
  co_return again && again->success;
}

Task<bool> one_of_three(Server& server, bool acknowledged) {
  auto first = pattern(4000);
  first.resize(100);
  append(first, pattern(6000, 1));
  auto second = first;
  std::ranges::copy(pattern(300, 2), second.begin());
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 0, 1 << 20);
  co_return found &&
      (*found == second || (!acknowledged && (*found == first || *found == pattern(4000))));
}

Task<bool> create_mutable(Server& server) {
  auto done = co_await server.read_test_write(si, owner, put(3, 0, pattern(500)));
  co_return done && done->success;
}

Task<bool> none_or_new(Server& server, bool acknowledged) {
  auto listed = co_await server.list(ShareKind::mutable_, si);
  if (!listed) co_return false;
  if (listed->empty()) co_return !acknowledged;
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{3}, 0, 1 << 20);
  co_return found && *found == pattern(500);
}

// Two shares, then one changes and the other goes, in one request.
Task<> make_two(Server& server) {
  auto request = put(0, 0, pattern(4000));
  request.changes[ShareNo{1}].writes.push_back({0, pattern(4000, 1)});
  auto made = co_await server.read_test_write(si, owner, request);
  CHECK((made && made->success));
}

Task<bool> change_one_remove_one(Server& server) {
  auto request = put(0, 2000, pattern(500, 2));
  request.changes[ShareNo{1}].new_length = 0;
  auto done = co_await server.read_test_write(si, owner, request);
  co_return done && done->success;
}

Task<bool> each_old_or_new(Server& server, bool acknowledged) {
  auto next = pattern(4000);
  const auto piece = pattern(500, 2);
  std::ranges::copy(piece, next.begin() + 2000);
  auto first = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 0, 1 << 20);
  auto second = co_await server.read(ShareKind::mutable_, si, ShareNo{1}, 0, 1 << 20);
  const bool gone = !second && second.error().code == Errc::not_found;
  if (acknowledged) co_return first && *first == next&& gone;
  co_return first && (*first == next || *first == pattern(4000)) &&
      (gone || (second && *second == pattern(4000, 1)));
}

// More leases than have a place at the beginning of the file.
Task<bool> six_leases(Server& server) {
  bool good = true;
  for (int i = 0; i < 6 && good; ++i) {
    auto done = co_await server.add_lease(si, fresh_lease());
    good = done.has_value();
  }
  co_return good;
}

Task<bool> still_changes(Server& server, bool) {
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 0, 1 << 20);
  const bool changed = co_await change_mutable(server);
  co_return found && *found == pattern(4000) && changed;
}

Task<bool> upload(Server& server) {
  const auto secret = random_secret<32>();
  const auto data = pattern(1000);
  auto open = co_await server.allocate(si, numbers(0), 1000, fresh_lease(), secret);
  if (!open || open->allocated.empty()) co_return false;
  auto half = co_await server.write(si, ShareNo{0}, secret, 0, ByteView(data).first(500));
  if (!half) co_return false;
  auto rest = co_await server.write(si, ShareNo{0}, secret, 500, ByteView(data).subspan(500));
  co_return rest && rest->complete;
}

Task<> upload_whole(Server& server) {
  const bool done = co_await upload(server);
  CHECK(done);
}

Task<bool> whole_or_absent(Server& server, bool acknowledged) {
  auto listed = co_await server.list(ShareKind::immutable, si);
  if (!listed) co_return false;
  if (listed->empty()) co_return !acknowledged;
  auto found = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 0, 1 << 20);
  co_return found && *found == pattern(1000);
}

// Six shares that become complete at one time.
constexpr std::uint8_t some = 6;
std::set<std::uint8_t> acknowledged_ones;

StorageIndex numbered(std::uint8_t i) {
  StorageIndex out;
  out.bytes[0] = i;
  return out;
}

Task<> upload_one_of_them(Server& server, std::uint8_t i) {
  const auto secret = random_secret<32>();
  auto open = co_await server.allocate(numbered(i), numbers(0), 1000, fresh_lease(), secret);
  if (!open || open->allocated.empty()) co_return;
  const auto data = pattern(1000);
  auto done = co_await server.write(numbered(i), ShareNo{0}, secret, 0, data);
  if (done && done->complete) acknowledged_ones.insert(i);
}

Task<bool> upload_some(Server& server) {
  acknowledged_ones.clear();
  TaskGroup all(co_await asio::this_coro::executor);
  for (std::uint8_t i = 0; i < some; ++i) all.spawn(upload_one_of_them(server, i));
  co_await all.join();
  co_return acknowledged_ones.size() == some;
}

Task<bool> each_whole_or_absent(Server& server, bool) {
  for (std::uint8_t i = 0; i < some; ++i) {
    auto listed = co_await server.list(ShareKind::immutable, numbered(i));
    if (!listed || (listed->empty() && acknowledged_ones.contains(i))) co_return false;
    if (listed->empty()) continue;
    auto found = co_await server.read(ShareKind::immutable, numbered(i), ShareNo{0}, 0, 1 << 20);
    if (!found || *found != pattern(1000)) co_return false;
  }
  co_return true;
}

Task<bool> lease_twice(Server& server) {
  auto done = co_await server.add_lease(si, fresh_lease());
  if (done) done = co_await server.add_lease(si, fresh_lease());
  co_return done.has_value();
}

Task<bool> data_is_there(Server& server, bool) {
  const bool there = co_await whole_or_absent(server, true);
  co_return there;
}

// Of three leases, the collector takes the first, so that the others move,
// and the last.
constexpr std::int64_t month = 31 * 24 * 3600;
const LeaseSecrets kept{Secret32{}, Secret32{}};

Task<> upload_with_three_leases(Server& server) {
  server_time = month;
  co_await upload_whole(server);
  server_time = 3 * month;
  auto leased = co_await server.add_lease(si, kept);
  CHECK(leased);
  server_time = month;
  leased = co_await server.add_lease(si, fresh_lease());
  CHECK(leased);
  server_time = 3 * month;
}

Task<bool> collect(Server& server) {
  ExpiryPolicy policy;
  policy.enabled = true;
  auto done = co_await dynamic_cast<DiskServer&>(server).examine(si, policy);
  co_return done && done->leases_removed == 2 && done->failed == 0;
}

// Collecting again does not take it either: its lease is there.
Task<bool> kept_for_its_lease(Server& server, bool) {
  (void)co_await collect(server);
  const bool there = co_await whole_or_absent(server, true);
  co_return there;
}

}  // namespace

TEST_CASE("a power cut at any step leaves the old mutable share or the new one") {
  for (const bool journal : {true, false}) {
    with_journal = journal;
    const auto done = cut_everywhere(make_mutable, change_mutable, old_or_new);
    CHECK(done.wrong == 0);
    CHECK(done.steps >= (journal ? 3 : 7));
  }
}

TEST_CASE("a power cut at any step leaves a new mutable share whole or absent") {
  for (const bool journal : {true, false}) {
    with_journal = journal;
    const auto done = cut_everywhere(nothing, create_mutable, none_or_new);
    CHECK(done.wrong == 0);
    CHECK(done.steps > 6);
  }
}

TEST_CASE("a power cut at any step of a change of two shares leaves each in one of its states") {
  with_journal = true;
  const auto done = cut_everywhere(make_two, change_one_remove_one, each_old_or_new);
  CHECK(done.wrong == 0);
  CHECK(done.steps > 6);
}

TEST_CASE("a power cut while the journal is settled for a change past it loses nothing") {
  with_journal = true;
  const auto done = cut_everywhere(make_mutable, change_lease_change, one_of_three);
  CHECK(done.wrong == 0);
  CHECK(done.steps > 10);
}

TEST_CASE("a power cut at any step of an upload leaves a whole share or none") {
  const auto done = cut_everywhere(nothing, upload, whole_or_absent);
  CHECK(done.wrong == 0);
  CHECK(done.steps > 10);
}

TEST_CASE("a power cut at any step of uploads that end together leaves whole shares or none") {
  const auto done = cut_everywhere(nothing, upload_some, each_whole_or_absent);
  CHECK(done.wrong == 0);
  CHECK(done.steps > 30);
}

TEST_CASE("a power cut at any step of adding leases leaves the share's data as it was") {
  const auto done = cut_everywhere(upload_whole, lease_twice, data_is_there);
  CHECK(done.wrong == 0);
  CHECK(done.steps >= 6);
}

TEST_CASE("a power cut at any step of adding leases leaves a mutable share that can change") {
  const auto done = cut_everywhere(make_mutable, six_leases, still_changes);
  CHECK(done.wrong == 0);
  CHECK(done.steps >= 12);
}

TEST_CASE("a power cut at any step of collecting leases leaves the share and the lease it has") {
  const auto done = cut_everywhere(upload_with_three_leases, collect, kept_for_its_lease);
  CHECK(done.wrong == 0);
  CHECK(done.steps >= 8);
}

TEST_CASE("the power cuts above find a sync that is missing or comes too late") {
  for (auto lie : {Lie::no_file_syncs, Lie::no_directory_syncs, Lie::late_file_syncs}) {
    CAPTURE(static_cast<int>(lie));
    with_journal = false;
    CHECK(cut_everywhere(make_mutable, change_mutable, old_or_new, lie).wrong > 0);
    CHECK(cut_everywhere(nothing, create_mutable, none_or_new, lie).wrong > 0);
    CHECK(cut_everywhere(make_two, change_one_remove_one, each_old_or_new, lie).wrong > 0);
    with_journal = true;
    CHECK(cut_everywhere(nothing, upload, whole_or_absent, lie).wrong > 0);
    CHECK(cut_everywhere(nothing, upload_some, each_whole_or_absent, lie).wrong > 0);
    // The journal's name lasts since the server's start.
    if (lie == Lie::no_directory_syncs) continue;
    CHECK(cut_everywhere(make_mutable, change_mutable, old_or_new, lie).wrong > 0);
    CHECK(cut_everywhere(nothing, create_mutable, none_or_new, lie).wrong > 0);
  }
  CHECK(cut_everywhere(upload_whole, lease_twice, data_is_there, Lie::no_file_syncs).wrong > 0);
  CHECK(cut_everywhere(make_mutable, six_leases, still_changes, Lie::no_file_syncs).wrong > 0);
}
