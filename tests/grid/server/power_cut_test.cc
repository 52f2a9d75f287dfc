// SPDX-License-Identifier: Apache-2.0

// The power goes before every step of every change. A disk keeps what was synced; of the rest it
// may keep anything. Three disks stand for that: one that keeps nothing but what was synced, one
// that keeps all names but only synced contents (the usual file system), and one that keeps all
// contents but only synced names.

#include <catch2/catch.hpp>

#include "tests/fake/server_conformance.h"
#include "tests/grid/server/disk_fixture.h"

using namespace lafs;
using namespace lafs::grid;
using namespace lafs::grid::storage;
using namespace lafs::grid::fake::conformance;
using namespace lafs::test;

namespace {

namespace stdfs = std::filesystem;

enum class Keeps : std::uint8_t { synced_only, all_names, all_contents };

// What a disk remembers of the files below one directory.
class Memory {
 public:
  // Everything that is there now is synced.
  explicit Memory(stdfs::path root) : root_(std::move(root)) {
    if (!stdfs::exists(root_)) return;
    for (const auto& entry : stdfs::recursive_directory_iterator(root_)) {
      if (entry.is_directory()) {
        names_[entry.path()] = durable_names_[entry.path()] = directory;
      } else {
        const auto id = add(entry.path());
        synced_[id] = contents_[id] = read_file(entry.path());
        durable_names_[entry.path()] = id;
      }
    }
  }

  void learn(std::string_view step, const stdfs::path& path, const stdfs::path& to) {
    if (step == "create") add(path);
    if (step == "mkdir") names_[path] = directory;
    if (step == "remove" || step == "rmdir") names_.erase(path);
    if (step == "rename") {
      names_[to] = names_.at(path);
      names_.erase(path);
    }
    if (step == "create" || step == "write" || step == "resize" || step == "copy" ||
        step == "sync") {
      const auto id = names_.at(path);
      contents_[id] = read_file(path);
      if (step == "sync") synced_[id] = contents_[id];
    }
    if (step == "sync directory") {
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
    for (const auto& [path, id] : keeps == Keeps::all_names ? names_ : durable_names_) {
      if (!stdfs::exists(path.parent_path())) continue;  // its directory did not last
      if (id == directory) {
        stdfs::create_directory(path);
        continue;
      }
      const auto& contents = keeps == Keeps::all_contents ? contents_ : synced_;
      const auto found = contents.find(id);
      write_file(path, found == contents.end() ? Bytes{} : found->second);
    }
  }

 private:
  static constexpr int directory = 0;
  int add(const stdfs::path& path) { return names_[path] = ++last_; }

  stdfs::path root_;
  int last_ = directory;
  std::map<stdfs::path, int> names_;
  std::map<stdfs::path, int> durable_names_;
  std::map<int, Bytes> contents_;
  std::map<int, Bytes> synced_;
};

// Runs `change` on what `before` left, cuts the power before the step `last`, and looks with
// `after(server, acknowledged)`. Whether the cut came before the end.
template <class Before, class Change, class After>
bool cut_at(int last, Keeps keeps, Before before, Change change, After after) {
  DiskFixture fixture;
  fixture.options.usage_index = false;
  fixture.with_server(before);
  const auto root = fixture.options.directory;
  std::optional<Memory> memory;
  int step = 0;
  bool cut = false;
  bool acknowledged = false;
  fixture.options.allow_step = [&](std::string_view) {
    if (!memory) return true;
    cut = cut || step == last;
    ++step;
    return !cut;
  };
  fixture.options.step_done = [&](std::string_view name, const stdfs::path& path,
                                  const stdfs::path& to) {
    if (memory && !cut) memory->learn(name, path, to);
  };
  std::optional<Memory> at_the_end;
  auto body = [&](Server& server) -> Task<> {
    memory.emplace(root);
    acknowledged = co_await change(server);
    at_the_end = std::move(memory);  // what closing the server does comes after the cut
    memory.reset();
  };
  fixture.with_server(body);
  at_the_end->cut(keeps);
  fixture.options.allow_step = {};
  fixture.options.step_done = {};
  auto look = [&](Server& server) { return after(server, acknowledged); };
  CAPTURE(last);
  fixture.with_server(look);
  return cut;
}

// Cuts at every step, on every kind of disk. How many steps there were.
template <class Before, class Change, class After>
int cut_everywhere(Before before, Change change, After after) {
  int steps = 0;
  for (auto keeps : {Keeps::synced_only, Keeps::all_names, Keeps::all_contents}) {
    CAPTURE(static_cast<int>(keeps));
    for (steps = 0; cut_at(steps, keeps, before, change, after); ++steps) {
    }
  }
  return steps;
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

Task<> old_or_new(Server& server, bool acknowledged) {
  auto next = pattern(4000);
  next.resize(100);
  append(next, pattern(6000, 1));
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{0}, 0, 1 << 20);
  REQUIRE(found);
  CHECK((*found == next || (!acknowledged && *found == pattern(4000))));
}

Task<bool> create_mutable(Server& server) {
  auto done = co_await server.read_test_write(si, owner, put(3, 0, pattern(500)));
  co_return done && done->success;
}

Task<> none_or_new(Server& server, bool acknowledged) {
  auto listed = co_await server.list(ShareKind::mutable_, si);
  REQUIRE(listed);
  if (listed->empty()) {
    CHECK_FALSE(acknowledged);
    co_return;
  }
  auto found = co_await server.read(ShareKind::mutable_, si, ShareNo{3}, 0, 1 << 20);
  REQUIRE(found);
  CHECK(*found == pattern(500));
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

Task<> whole_or_absent(Server& server, bool acknowledged) {
  auto listed = co_await server.list(ShareKind::immutable, si);
  REQUIRE(listed);
  if (listed->empty()) {
    CHECK_FALSE(acknowledged);
    co_return;
  }
  auto found = co_await server.read(ShareKind::immutable, si, ShareNo{0}, 0, 1 << 20);
  REQUIRE(found);
  CHECK(*found == pattern(1000));
}

Task<bool> lease_twice(Server& server) {
  auto done = co_await server.add_lease(si, fresh_lease());
  if (done) done = co_await server.add_lease(si, fresh_lease());
  co_return done.has_value();
}

Task<> data_is_there(Server& server, bool) { return whole_or_absent(server, true); }

}  // namespace

TEST_CASE("a power cut at any step leaves the old mutable share or the new one") {
  CHECK(cut_everywhere(make_mutable, change_mutable, old_or_new) > 6);
}

TEST_CASE("a power cut at any step leaves a new mutable share whole or absent") {
  CHECK(cut_everywhere(nothing, create_mutable, none_or_new) > 6);
}

TEST_CASE("a power cut at any step of an upload leaves a whole share or none") {
  CHECK(cut_everywhere(nothing, upload, whole_or_absent) > 10);
}

TEST_CASE("a power cut at any step of adding leases leaves the share's data as it was") {
  CHECK(cut_everywhere(upload_whole, lease_twice, data_is_there) >= 6);
}
