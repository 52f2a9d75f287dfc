// SPDX-License-Identifier: Apache-2.0
#pragma once

// A grid filesystem on fake servers, and words to use it like a person: paths, whole files.

#include <stdlib.h>

#include <boost/asio/this_coro.hpp>
#include <filesystem>
#include <stdexcept>

#include "cache/cached_client.h"
#include "frontends/fs/grid_fs.h"
#include "grid/client.h"
#include "tests/fake/fake_grid.h"

namespace lafs::fs::test {

inline constexpr Caller somebody{1000, 1000};

// Bytes that are not all alike, others for each seed.
inline Bytes pattern(std::size_t n, unsigned seed = 1) {
  Bytes out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * 31 + seed + i / 251);
  return out;
}

struct Setting {
  // Closing a file waits for the grid, unless a test wants otherwise.
  GridFs::Options fs = {.close = GridFs::Durability::grid, .fsync = GridFs::Durability::grid};
  std::string directory = {};  // of the write path; empty: one of its own, removed at the end
  cache::DiskFault fault = {};
  std::optional<cache::Disk::BootId> boot = {};
  Duration quiet = std::chrono::milliseconds(2);  // before something is brought to the grid
  Duration directory_ttl = {};                    // others' changes are seen at once
  cache::DiskBudget::Options budget = {.min_free = 0};
  std::filesystem::path keys = {};  // RSA keys made before: see MadeKeys
};

// RSA keys take most of the time of a test that makes a grid and directories again and again. Made
// once, and handed out again for each grid that knows nothing of the others.
class MadeKeys {
 public:
  // At most eight: that many a node keeps.
  explicit MadeKeys(std::size_t count) : path_(scratch()) { run(make(path_ / "made", count)); }
  ~MadeKeys() { std::filesystem::remove_all(path_); }
  MadeKeys(const MadeKeys&) = delete;
  MadeKeys& operator=(const MadeKeys&) = delete;
  // A folder with all of them, for the nodes of one grid.
  std::filesystem::path hand_out() const {
    const auto to = path_ / "handed-out";
    std::filesystem::remove_all(to);
    std::filesystem::copy(path_ / "made", to);
    return to;
  }

 private:
  static Task<> make(std::filesystem::path to, std::size_t count);
  static std::string scratch() {
    auto name = (std::filesystem::temp_directory_path() / "lafs-keys-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    return name;
  }
  std::filesystem::path path_;
};

// One node on a grid: its own client and caches. Several may share the servers. close() it.
class Drive {
 public:
  Drive(asio::any_io_executor executor, grid::fake::FakeGrid& servers, Pool& pool, grid::Cap root,
        Setting setting = {})
      : client_(executor, servers.roster(), pool, client_options(setting.keys)),
        cached_(executor, client_, cache_options(setting.directory_ttl)),
        scratch_(setting.directory.empty() ? scratch() : ""),
        disk_(setting.fault, setting.boot) {
    auto opened = cache::WriteBack::open(
        executor, cached_, disk_,
        write_back_options(setting.directory.empty() ? scratch_ : setting.directory, setting));
    if (!opened) throw std::runtime_error(opened.error().message());
    write_back_ = std::move(*opened);
    fs_ = std::make_unique<GridFs>(cached_, *write_back_, std::move(root), setting.fs);
  }
  ~Drive() {
    fs_.reset();
    write_back_.reset();
    if (!scratch_.empty()) std::filesystem::remove_all(scratch_);
  }

  static grid::Client::Options client_options(std::filesystem::path keys) {
    return {.encoding = {.k = 3, .happy = 3, .n = 5, .max_segment_size = 4096},
            .convergence_secret = to_bytes("convergence"),
            .lease_secret = Secret(),
            .spare_keys = std::move(keys)};
  }
  static Task<Result<grid::Cap>> new_root(asio::any_io_executor executor,
                                          grid::fake::FakeGrid& servers, Pool& pool,
                                          std::filesystem::path keys = {}) {
    auto options = client_options(std::move(keys));
    grid::Client client(executor, servers.roster(), pool, std::move(options));
    auto root = co_await client.create_directory();
    co_await client.close();
    co_return root;
  }

  GridFs& fs() { return *fs_; }
  cache::Disk& disk() { return disk_; }
  cache::WriteBack& write_back() { return *write_back_; }
  cache::CachedClient& cached() { return cached_; }
  grid::Client& client() { return client_; }

  Task<Result<Attributes>> find(std::string path) {
    NodeId at = root_node;
    CO_TRY(found, co_await fs_->attributes(at));
    auto here = found;
    for (std::size_t from = 0; from < path.size();) {
      auto slash = std::min(path.find('/', from), path.size());
      CO_TRY(next, co_await fs_->lookup(at, path.substr(from, slash - from)));
      if (at != root_node) fs_->forget(at, 1);
      at = next.id;
      here = next;
      from = slash + 1;
    }
    co_return here;
  }
  // create (or truncate), write, flush, release. What flush says is the result.
  Task<Result<>> put(NodeId parent, std::string name, Bytes data) {
    const OpenFlags flags{.read = true, .write = true, .truncate = true};
    CO_TRY(opened, co_await fs_->create(parent, name, 0644, flags, false, somebody));
    auto written = co_await fs_->write(opened.handle, 0, data);
    auto flushed = co_await fs_->flush(opened.handle);
    co_await fs_->release(opened.handle);
    fs_->forget(opened.attributes.id, 1);
    if (!written) co_return written;
    co_return flushed;
  }
  Task<Result<>> put(std::string name, Bytes data) {
    co_return co_await put(root_node, std::move(name), std::move(data));
  }
  Task<Result<Bytes>> get(std::string path) {
    CO_TRY(found, co_await find(path));
    auto opened = co_await fs_->open(found.id, {});
    if (!opened) co_return std::unexpected(opened.error());
    Bytes all;
    for (;;) {
      auto part = co_await fs_->read(opened->handle, all.size(), 3000);
      if (!part) {
        co_await fs_->release(opened->handle);
        co_return part;
      }
      if (part->empty()) break;
      append(all, *part);
    }
    co_await fs_->release(opened->handle);
    fs_->forget(found.id, 1);
    co_return all;
  }
  Task<Result<std::vector<std::string>>> names(NodeId directory) {
    CO_TRY(handle, co_await fs_->open_directory(directory));
    std::vector<std::string> out;
    std::uint64_t after = 0;
    for (;;) {
      CO_TRY(entries, co_await fs_->read_directory(handle, after, 7, false));
      if (entries.empty()) break;
      for (auto& entry : entries) out.push_back(entry.name);
      after = entries.back().cookie;
    }
    co_await fs_->close_directory(handle);
    co_return out;
  }
  // Until the grid has everything.
  Task<Result<>> settle() {
    const auto limit = Clock::now() + std::chrono::seconds(20);
    co_return co_await write_back_->flush(0, limit, cache::WriteBack::OnError::keep_trying);
  }
  // As if it had ended: nothing more is brought to the grid.
  Task<> abandon() {
    auto ignored = co_await write_back_->close();
    co_await cached_.close();
    co_await client_.close();
  }
  Task<Result<>> close() {
    auto done = co_await fs_->close();
    auto kept = co_await write_back_->close();
    if (done && !kept) done = std::move(kept);
    co_await cached_.close();
    co_await client_.close();
    co_return done;
  }

 private:
  static grid::Secret32 Secret() { return {}; }
  static cache::CachedClient::Options cache_options(Duration directory_ttl) {
    return {.segment_bytes = 1 << 20, .directory_ttl = directory_ttl, .mutable_ttl = {}};
  }
  static std::string scratch() {
    auto name = (std::filesystem::temp_directory_path() / "lafs-drive-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    return name;
  }
  static cache::WriteBack::Options write_back_options(std::string directory,
                                                      const Setting& setting) {
    cache::WriteBack::Options out;
    out.directory = std::move(directory);
    out.host = "here";
    out.limits.quiet = setting.quiet;
    out.limits.latest = setting.quiet * 10;
    out.limits.first_retry = std::chrono::milliseconds(10);
    out.limits.last_retry = std::chrono::milliseconds(20);
    out.budget = setting.budget;
    out.segment_bytes = 1;  // as small as they go
    return out;
  }

  grid::Client client_;
  cache::CachedClient cached_;
  std::string scratch_;
  cache::Disk disk_;
  std::unique_ptr<cache::WriteBack> write_back_;
  std::unique_ptr<GridFs> fs_;
};

inline Task<> MadeKeys::make(std::filesystem::path to, std::size_t count) {
  auto executor = co_await asio::this_coro::executor;
  Pool pool(1);
  grid::fake::FakeGrid nobody({.servers = 1});
  auto options = Drive::client_options(std::move(to));
  grid::Client client(executor, nobody.roster(), pool, std::move(options));
  client.keep_spare_keys(count);
  while (client.spare_keys() < count) co_await sleep_for(std::chrono::milliseconds(5));
  co_await client.close();
}

}  // namespace lafs::fs::test
