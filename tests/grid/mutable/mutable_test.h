// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of mutable files and directories share: a grid of fake servers and one client.

#include <catch2/catch.hpp>

#include "grid/mutable/mutable_file.h"
#include "tests/fake/fake_grid.h"

namespace lafs::grid::test {

// Making a key takes long, and one is as good as another on a grid of its own.
inline const RsaPrivateKey& test_key(std::size_t i = 0) {
  static std::map<std::size_t, RsaPrivateKey> keys;
  auto it = keys.find(i);
  if (it == keys.end()) it = keys.emplace(i, RsaPrivateKey::generate()).first;
  return it->second;
}

// OpenSSL goes away after the pool: what it keeps for each thread would be lost otherwise.
inline Pool& test_pool() {
  test_key();
  static Pool pool(2);
  return pool;
}

inline MutableContext context_of(fake::FakeGrid& grid, std::uint64_t k = 3, std::uint64_t n = 10) {
  MutableContext context{grid.roster(), test_pool(), Secret32(), k, n};
  context.deadline = std::chrono::milliseconds(400);
  context.patience = std::chrono::milliseconds(10);
  context.backoff = std::chrono::milliseconds(1);
  return context;
}

// One process: opens a file, does one thing with it, closes it.
template <class F>
auto with_file(fake::FakeGrid& grid, const Cap& cap, F use, std::uint64_t k = 3,
               std::uint64_t n = 10) {
  using R = typename std::invoke_result_t<F, MutableFile&>::value_type;
  struct Body {
    static Task<R> run(MutableContext context, Cap cap, F use) {
      MutableFile file(co_await asio::this_coro::executor, context, cap);
      auto out = co_await use(file);
      co_await file.close();
      co_return out;
    }
  };
  return lafs::run(Body::run(context_of(grid, k, n), cap, use));
}

inline Result<Cap> try_create(fake::FakeGrid& grid, std::string_view contents, std::uint64_t k = 3,
                              std::uint64_t n = 10, MutableFormat format = MutableFormat::sdmf,
                              std::size_t key = 0) {
  struct Body {
    static Task<Result<Cap>> run(MutableContext context, MutableFormat f, Bytes bytes,
                                 RsaPrivateKey private_key) {
      co_return co_await MutableFile::create(co_await asio::this_coro::executor, context, f,
                                             std::move(bytes), private_key);
    }
  };
  return lafs::run(Body::run(context_of(grid, k, n), format, to_bytes(contents), test_key(key)));
}

inline Cap create(fake::FakeGrid& grid, std::string_view contents, std::uint64_t k = 3,
                  std::uint64_t n = 10, MutableFormat format = MutableFormat::sdmf) {
  auto cap = try_create(grid, contents, k, n, format);
  REQUIRE(cap);
  return *cap;
}

inline Result<MutableContents> try_read(fake::FakeGrid& grid, const Cap& cap) {
  return with_file(grid, cap, [](MutableFile& file) { return file.read(); });
}

inline std::string read(fake::FakeGrid& grid, const Cap& cap) {
  auto out = try_read(grid, cap);
  return out ? to_text(*out->bytes) : "failed: " + out.error().message();
}

inline Result<VersionId> overwrite(fake::FakeGrid& grid, const Cap& cap, std::string_view contents,
                                   std::uint64_t k = 3, std::uint64_t n = 10) {
  return with_file(
      grid, cap, [&](MutableFile& file) { return file.overwrite(to_bytes(contents)); }, k, n);
}

// Adds `text` at the end unless it is there.
inline MutableFile::Change appending(std::string text) {
  return [text](const MutableContents& old) -> Result<std::shared_ptr<const Bytes>> {
    auto all = to_text(*old.bytes);
    if (all.find(text) == all.npos) all += text;
    return std::make_shared<const Bytes>(to_bytes(all));
  };
}

inline Result<VersionId> append_to(fake::FakeGrid& grid, const Cap& cap, std::string text) {
  return with_file(grid, cap,
                   [&](MutableFile& file) { return file.modify(appending(std::move(text))); });
}

}  // namespace lafs::grid::test
