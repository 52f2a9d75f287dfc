// SPDX-License-Identifier: Apache-2.0

// A drive that is stopped at every step of its disk. A workload runs until the fault strikes; the
// next drive on the same directory shows everything that was acknowledged and nothing that was
// removed, and so does, once the queue is empty, a node that only has the grid.

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "tests/frontends/grid_fs/drive.h"

using namespace lafs;
using namespace lafs::fs;
using lafs::cache::DiskFault;
using lafs::fs::test::Drive;
using lafs::fs::test::MadeKeys;
using lafs::fs::test::Setting;
using lafs::fs::test::somebody;
using lafs::grid::fake::FakeGrid;

namespace {

// Paths and what they are: "/" for a directory, "@target" for a symlink, else content after "=".
using State = std::map<std::string, std::string>;

std::string text(std::size_t n, char c) { return std::string(n, c); }

// One acknowledged step, and what it makes of the state. Changes of one file in several calls are
// several steps, so that each is all or nothing.
struct Step {
  std::function<Task<Result<>>(Drive&)> act;
  std::function<void(State&)> effect;
};

Task<Result<>> with_file(Drive& drive, std::string path,
                         std::function<Task<Result<>>(Drive&, HandleId)> act) {
  CO_TRY(found, co_await drive.find(path));
  const OpenFlags flags{.read = true, .write = true};
  auto opened = co_await drive.fs().open(found.id, flags);
  if (!opened) {
    drive.fs().forget(found.id, 1);
    co_return std::unexpected(std::move(opened).error());
  }
  auto done = co_await act(drive, opened->handle);
  auto flushed = co_await drive.fs().flush(opened->handle);
  co_await drive.fs().release(opened->handle);
  drive.fs().forget(found.id, 1);
  if (done && !flushed) done = std::move(flushed);
  co_return done;
}

// "d/f" as its directory, which is held, and its name.
Task<Result<std::pair<NodeId, std::string>>> split(Drive& drive, std::string path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) co_return std::pair(root_node, path);
  CO_TRY(parent, co_await drive.find(path.substr(0, slash)));
  co_return std::pair(parent.id, path.substr(slash + 1));
}

Step create(std::string path) {
  return {[path](Drive& drive) -> Task<Result<>> {
            CO_TRY(place, co_await split(drive, path));
            const OpenFlags flags{.read = true, .write = true};
            CO_TRY(opened, co_await drive.fs().create(place.first, place.second, 0644, flags, true,
                                                      somebody));
            co_await drive.fs().release(opened.handle);
            drive.fs().forget(opened.attributes.id, 1);
            if (place.first != root_node) drive.fs().forget(place.first, 1);
            co_return Result<>{};
          },
          [path](State& state) { state[path] = "="; }};
}
Step write(std::string path, std::size_t offset, std::string data) {
  return {[=](Drive& drive) -> Task<Result<>> {
            auto act = [=](Drive& d, HandleId handle) -> Task<Result<>> {
              const auto bytes = to_bytes(data);
              co_return co_await d.fs().write(handle, offset, bytes);
            };
            co_return co_await with_file(drive, path, act);
          },
          [=](State& state) {
            auto& content = state[path];
            if (content.size() < 1 + offset + data.size())
              content.resize(1 + offset + data.size(), '\0');
            content.replace(1 + offset, data.size(), data);
          }};
}
Step cut(std::string path, std::size_t size) {
  return {[=](Drive& drive) -> Task<Result<>> {
            CO_TRY(found, co_await drive.find(path));
            Changes changes;
            changes.size = size;
            auto done = co_await drive.fs().change(found.id, changes, std::nullopt);
            drive.fs().forget(found.id, 1);
            if (!done) co_return std::unexpected(std::move(done).error());
            co_return Result<>{};
          },
          [=](State& state) { state[path].resize(1 + size, '\0'); }};
}
Step make_directory(std::string path) {
  return {[path](Drive& drive) -> Task<Result<>> {
            CO_TRY(made, co_await drive.fs().mkdir(root_node, path, 0755, somebody));
            drive.fs().forget(made.id, 1);
            co_return Result<>{};
          },
          [path](State& state) { state[path] = "/"; }};
}
Step link(std::string path, std::string target) {
  return {[=](Drive& drive) -> Task<Result<>> {
            CO_TRY(made, co_await drive.fs().symlink(root_node, path, target, somebody));
            drive.fs().forget(made.id, 1);
            co_return Result<>{};
          },
          [=](State& state) { state[path] = "@" + target; }};
}
Step move(std::string from, std::string to) {
  return {[=](Drive& drive) -> Task<Result<>> {
            CO_TRY(a, co_await split(drive, from));
            CO_TRY(b, co_await split(drive, to));
            auto done = co_await drive.fs().rename(a.first, a.second, b.first, b.second,
                                                   RenameMode::replace);
            if (a.first != root_node) drive.fs().forget(a.first, 1);
            if (b.first != root_node) drive.fs().forget(b.first, 1);
            co_return done;
          },
          [=](State& state) {
            state[to] = state.at(from);
            state.erase(from);
          }};
}
Step remove(std::string path) {
  return {[path](Drive& drive) -> Task<Result<>> {
            CO_TRY(place, co_await split(drive, path));
            CO_TRY(found, co_await drive.find(path));
            drive.fs().forget(found.id, 1);
            Result<> done;
            if (found.kind == Kind::directory)
              done = co_await drive.fs().rmdir(place.first, place.second);
            else
              done = co_await drive.fs().unlink(place.first, place.second);
            if (place.first != root_node) drive.fs().forget(place.first, 1);
            co_return done;
          },
          [path](State& state) { state.erase(path); }};
}
// Waits for the grid: what comes after it is done to things that are published.
Step settle() {
  return {[](Drive& drive) -> Task<Result<>> {
            const auto limit = Clock::now() + std::chrono::seconds(10);
            const auto on_error = cache::WriteBack::OnError::give_up;
            co_return co_await drive.write_back().flush(0, limit, on_error);
          },
          [](State&) {}};
}

std::vector<Step> workload() {
  return {make_directory("d"),
          create("a"),
          write("a", 0, text(100, 'a')),
          create("b"),
          write("b", 0, text(9000, 'b')),
          move("a", "d/a"),
          write("b", 4000, text(300, 'x')),
          settle(),
          cut("b", 5000),
          create("tmp"),
          write("tmp", 0, text(6000, 't')),
          move("tmp", "b"),
          link("l", "b"),
          move("d/a", "e"),
          settle(),
          write("e", 50, text(200, 'e')),
          remove("l"),
          move("b", "c"),
          create("d/f"),
          remove("e"),
          move("c", "d/f"),
          create("e"),
          move("d/f", "g"),
          remove("d")};
}

Task<Result<>> look_into(Drive& drive, std::string prefix, NodeId node, State& out) {
  CO_TRY(names, co_await drive.names(node));
  for (const auto& name : names) {
    const auto path = prefix + name;
    CO_TRY(found, co_await drive.find(path));
    if (found.kind == Kind::directory) {
      out[path] = "/";
      CO_TRY_DO(co_await look_into(drive, path + "/", found.id, out));
    } else if (found.kind == Kind::symlink) {
      CO_TRY(target, co_await drive.fs().readlink(found.id));
      out[path] = "@" + target;
    } else {
      CO_TRY(bytes, co_await drive.get(path));
      out[path] = "=" + to_text(bytes);
    }
    drive.fs().forget(found.id, 1);
  }
  co_return Result<>{};
}

Task<State> look(Drive& drive) {
  State out;
  auto done = co_await look_into(drive, "", root_node, out);
  if (!done) out["(not readable)"] = done.error().message();
  co_return out;
}

// A write that was not acknowledged may have been done in part, each byte old or new.
bool between(const State& before, const State& after, const State& seen) {
  if (before.size() != after.size() || seen.size() != after.size()) return false;
  for (const auto& [path, now] : after) {
    auto old = before.find(path), got = seen.find(path);
    if (old == before.end() || got == seen.end()) return false;
    const auto& is = got->second;
    if (is.size() != now.size() && is.size() != old->second.size()) return false;
    for (std::size_t i = 0; i < is.size(); ++i)
      if (!(i < now.size() && is[i] == now[i]) &&
          !(i < old->second.size() && is[i] == old->second[i]))
        return false;
  }
  return true;
}

// Contents are written in place: when some of what was not synced survives a loss of power, each
// byte is of some moment since the last sync, while names and sizes are of one.
bool mixed(const std::vector<State>& states, std::size_t since, const State& names,
           const State& seen) {
  if (names.size() != seen.size()) return false;
  for (const auto& [path, what] : seen) {
    auto there = names.find(path);
    if (there == names.end() || there->second.size() != what.size()) return false;
    if (what[0] != '=' && there->second != what) return false;
    for (std::size_t i = 0; i < what.size(); ++i) {
      bool known = false;
      for (std::size_t s = since; s < states.size() && !known; ++s)
        for (const auto& [other, content] : states[s])
          known = known || (i < content.size() && content[i] == what[i]);
      if (!known) return false;
    }
  }
  return true;
}

std::string shown(const State& state) {
  std::string out;
  for (const auto& [path, what] : state)
    out += path + " " +
           (what.size() > 40 ? what.substr(0, 8) + "..." + std::to_string(what.size()) : what) +
           "; ";
  return out;
}

std::string scratch() {
  auto name = (std::filesystem::temp_directory_path() / "lafs-crash-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
  return name;
}

// One run that `fault` ends. False when it did not strike before the workload's end.
Task<bool> run_into(DiskFault fault, FakeGrid& g, Pool& p, std::filesystem::path keys) {
  auto executor = co_await asio::this_coro::executor;
  auto root = co_await Drive::new_root(executor, g, p, keys);
  REQUIRE(root.has_value());
  const auto directory = scratch();
  // States that a restart may show: the last acknowledged one, the one that was being made, and
  // after a loss of power those of the last moments before.
  std::vector<State> states{State{}};
  std::size_t acknowledged = 0, lasting = 0;
  bool struck = false;
  {
    Setting setting{.fs = {}, .directory = directory, .fault = fault, .keys = keys};
    std::unique_ptr<Drive> drive;
    try {
      drive = std::make_unique<Drive>(executor, g, p, *root, setting);
    } catch (const std::runtime_error&) {
      struck = true;  // at once
    }
    if (drive) {
      const auto steps = workload();
      for (const auto& step : steps) {
        states.push_back(states.back());
        step.effect(states.back());
        auto done = co_await step.act(*drive);
        if (!done) {
          struck = drive->disk().dead();
          if (!struck) FAIL("a step failed: " << done.error().message());
          break;
        }
        acknowledged = states.size() - 1;
        if (drive->write_back().lasting()) lasting = acknowledged;
      }
      co_await drive->abandon();
      struck = struck || drive->disk().dead();
      if (fault.kind == DiskFault::Kind::power) drive->disk().lose_unsynced();
    }
  }
  INFO("step " << fault.at << ", seed " << fault.seed << ", " << acknowledged << " acknowledged");
  if (fault.kind == DiskFault::Kind::kill) lasting = acknowledged;

  Setting setting{.fs = {}, .directory = directory, .keys = keys};
  if (fault.kind == DiskFault::Kind::power) setting.boot = cache::Disk::BootId{1, 2, 3};
  Drive again(executor, g, p, *root, setting);
  const auto seen = co_await look(again);
  std::size_t matched = states.size();
  for (std::size_t i = lasting; i < states.size(); ++i)
    if (seen == states[i] || (i > 0 && between(states[i - 1], states[i], seen)) ||
        (fault.seed && mixed(states, lasting, states[i], seen)))
      matched = i;
  if (matched == states.size())
    FAIL_CHECK("after the restart: " << shown(seen) << "\nexpected: " << shown(states[lasting])
                                     << "\n      to: " << shown(states.back()));
  auto settled = co_await again.settle();
  CHECK(settled.has_value());
  auto closed = co_await again.close();
  CHECK(closed.has_value());
  Drive elsewhere(executor, g, p, *root, {.fs = {}});
  const auto theirs = co_await look(elsewhere);
  if (theirs != seen)
    FAIL_CHECK("on the grid: " << shown(theirs) << "\nexpected:    " << shown(seen));
  closed = co_await elsewhere.close();
  CHECK(closed.has_value());
  std::filesystem::remove_all(directory);
  co_return struck;
}

// Every step, or each `stride`-th. How many were struck.
unsigned sweep(DiskFault::Kind kind, unsigned stride, unsigned seeds) {
  const MadeKeys keys(6);
  Pool pool(1);
  unsigned points = 0;
  for (std::uint64_t at = 1; at < 2000; at += stride) {
    DiskFault fault;
    fault.kind = kind;
    fault.at = at;
    fault.seed = seeds ? at % seeds : 0;
    // A grid of its own, which knows nothing of the other runs' keys.
    FakeGrid grid({.servers = 5});
    const bool struck = run(run_into(fault, grid, pool, keys.hand_out()));
    if (!struck) break;
    ++points;
  }
  return points;
}

// LAFS_CRASH_POINTS=0 visits every step; the default is every second.
unsigned stride() {
  const char* wanted = std::getenv("LAFS_CRASH_POINTS");
  return wanted && std::string_view(wanted) == "0" ? 1 : 2;
}

}  // namespace

TEST_CASE("a drive that is killed at any step of its disk loses nothing acknowledged") {
  const auto points = sweep(DiskFault::Kind::kill, stride(), 0);
  std::printf("killed at %u steps\n", points);
  CHECK(points >= 40);
}

TEST_CASE("a drive that loses its power shows what it was at some moment after the last sync") {
  const auto points = sweep(DiskFault::Kind::power, stride(), 5);
  std::printf("power lost at %u steps\n", points);
  CHECK(points >= 40);
}
