// SPDX-License-Identifier: Apache-2.0
#pragma once

// A DiskServer in a directory of its own, for tests.

#include <boost/asio/this_coro.hpp>
#include <fstream>
#include <iterator>

#include "grid/server/disk_server.h"
#include "tests/grid/storage/temporary_directory.h"

namespace lafs::test {

using grid::storage::DiskServer;

struct DiskFixture {
  TemporaryDirectory directory;
  Pool pool{1};
  DiskServer::Options options;

  DiskFixture() {
    options.directory = directory.path() / "storage";
    options.durable = false;
    options.journal_growth = 4096;
    options.free_space = [] { return std::uint64_t{1} << 40; };
  }

  std::unique_ptr<DiskServer> open(asio::any_io_executor executor) {
    auto server = DiskServer::open(std::move(executor), pool, options);
    if (!server) throw std::runtime_error(server.error().message());
    return std::move(*server);
  }

  // Opens a server, runs `body` on it, closes it.
  template <class Body>
  void with_server(Body body) {
    lafs::run(go(*this, body));
  }
  template <class Body>
  static Task<> go(DiskFixture& fixture, Body& body) {
    auto server = fixture.open(co_await asio::this_coro::executor);
    co_await body(*server);
    co_await server->close();
  }
};

inline Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

inline void write_file(const std::filesystem::path& path, ByteView data) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << as_text(data);
}

}  // namespace lafs::test
