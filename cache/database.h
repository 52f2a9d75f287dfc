// SPDX-License-Identifier: Apache-2.0
#pragma once

// LMDB wrapped: an environment in one file, transactions that end with their scope. Any number of
// processes may have one environment open; one writes at a time, others wait for it.

#include <lmdb.h>

#include <functional>
#include <memory>
#include <string>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::cache {

inline MDB_val to_lmdb(ByteView bytes) {
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
}
inline ByteView from_lmdb(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}
std::unexpected<Error> lmdb_error(int code, const char* doing, const std::string& path);

class Database {
 public:
  struct Options {
    std::uint64_t map_bytes;
    unsigned databases = 8;
    bool lasting = true;  // commits are synced; else only close() is, and a loss of power voids all
  };
  // Looks at every key of every table, in a process of its own: LMDB trusts its pages, and a
  // damaged one can end whoever follows it. Errc::corrupt. A file that is not there is whole.
  static Result<> check(const std::string& path, std::uint64_t map_bytes);
  // Errc::corrupt when the file is there and is no whole database.
  static Result<std::unique_ptr<Database>> open(const std::string& path, const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  class Txn {
   public:
    ~Txn() {
      if (txn_) mdb_txn_abort(txn_);
    }
    Txn(Txn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
    Txn& operator=(Txn&&) = delete;

    // Valid while the transaction is.
    Result<std::optional<ByteView>> get(MDB_dbi dbi, ByteView key);
    Result<> put(MDB_dbi dbi, ByteView key, ByteView value, unsigned flags = 0);
    // Room for a value, to be filled before the next put.
    Result<MutableBytes> reserve(MDB_dbi dbi, ByteView key, std::size_t size);
    Result<bool> remove(MDB_dbi dbi, ByteView key);
    // From the first key that is not smaller than `from`; `visit` returns false to end.
    Result<> each(MDB_dbi dbi, ByteView from,
                  const std::function<Result<bool>(ByteView, ByteView)>& visit);
    Result<> clear(MDB_dbi dbi);
    Result<std::uint64_t> entries(MDB_dbi dbi);
    Result<> commit();
    MDB_txn* get() { return txn_; }

   private:
    friend class Database;
    Txn(const Database& env, MDB_txn* txn) : env_(&env), txn_(txn) {}
    const Database* env_;
    MDB_txn* txn_;
  };

  Result<Txn> read() const;
  Result<Txn> write();
  Result<MDB_dbi> database(const char* name);
  Result<> sync();
  const std::string& path() const { return path_; }
  MDB_env* env() const { return env_; }

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}
  std::string path_;
  MDB_env* env_ = nullptr;
};

}  // namespace lafs::cache
