// SPDX-License-Identifier: Apache-2.0
#include "cache/database.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

namespace lafs::cache {

std::unexpected<Error> lmdb_error(int code, const char* doing, const std::string& path) {
  auto kind = Errc::io;
  if (code == MDB_MAP_FULL || code == ENOSPC || code == EDQUOT) kind = Errc::no_space;
  if (code == MDB_CORRUPTED || code == MDB_INVALID || code == MDB_VERSION_MISMATCH ||
      code == MDB_PAGE_NOTFOUND || code == MDB_PANIC || code == MDB_INCOMPATIBLE)
    kind = Errc::corrupt;
  if (code == MDB_READERS_FULL || code == EAGAIN) kind = Errc::busy;
  return fail(kind, std::string(doing) + " " + path + ": " + mdb_strerror(code));
}

namespace {

// The child's part of check(): 0 when all is well.
int walk(const std::string& path, std::uint64_t map_bytes) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi names = 0;
  MDB_cursor* cursor = nullptr;
  MDB_val name, value;
  if (mdb_env_create(&env) || mdb_env_set_mapsize(env, map_bytes) || mdb_env_set_maxdbs(env, 16))
    return 1;
  if (mdb_env_open(env, path.c_str(), MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600)) return 1;
  if (mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) || mdb_dbi_open(txn, nullptr, 0, &names) ||
      mdb_cursor_open(txn, names, &cursor))
    return 1;
  int e = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
  for (; e == 0; e = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
    MDB_dbi table = 0;
    MDB_cursor* rows = nullptr;
    MDB_val key, ignored;
    const auto text = to_text(from_lmdb(name));
    if (mdb_dbi_open(txn, text.c_str(), 0, &table) || mdb_cursor_open(txn, table, &rows)) return 1;
    Bytes before;
    int r = mdb_cursor_get(rows, &key, &ignored, MDB_FIRST);
    for (; r == 0; r = mdb_cursor_get(rows, &key, &ignored, MDB_NEXT)) {
      const auto now = from_lmdb(key);
      if (!before.empty() && !std::ranges::lexicographical_compare(before, now)) return 1;
      before = to_bytes(now);
    }
    if (r != MDB_NOTFOUND) return 1;
  }
  return e == MDB_NOTFOUND ? 0 : 1;
}

}  // namespace

Result<> Database::check(const std::string& path, std::uint64_t map_bytes) {
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0 || facts.st_size == 0) return {};
  const auto child = ::fork();
  if (child < 0) return {};  // not worth failing for
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(signal, SIG_DFL);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::alarm(20);  // a loop in the pages
    ::_exit(walk(path, map_bytes));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Errc::corrupt, path + ": its pages are damaged");
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const Options& options) {
  auto out = std::unique_ptr<Database>(new Database(path));
  if (const int e = mdb_env_create(&out->env_)) return lmdb_error(e, "open", path);
  mdb_env_set_mapsize(out->env_, options.map_bytes);
  mdb_env_set_maxdbs(out->env_, options.databases);
  unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
  if (!options.lasting) flags |= MDB_NOSYNC;
  if (const int e = mdb_env_open(out->env_, path.c_str(), flags, 0600))
    return lmdb_error(e, "open", path);
  int dead = 0;
  mdb_reader_check(out->env_, &dead);  // of processes that were killed
  // Reading past the end of the file would be a SIGBUS. A healthy file may end before its last page
  // (one that was taken and given back within a transaction is never written), and one that was cut
  // short does: what is missing is made zeros, and then looked at.
  MDB_envinfo info;
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0) return lmdb_error(errno, "look at", path);
  MDB_stat stat;
  if (mdb_env_info(out->env_, &info) != 0 || mdb_env_stat(out->env_, &stat) != 0) return out;
  const auto wanted = (info.me_last_pgno + 1) * stat.ms_psize;
  if (facts.st_size == 0 || wanted <= static_cast<std::uint64_t>(facts.st_size)) return out;
  // Other processes may be making it longer right now.
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return lmdb_error(errno, "open", path);
  const int full =
      ::posix_fallocate(file, facts.st_size, static_cast<off_t>(wanted) - facts.st_size);
  ::close(file);
  if (full) return lmdb_error(full, "make room in", path);
  if (!check(path, options.map_bytes)) return fail(Errc::corrupt, path + ": cut short");
  return out;
}

Database::~Database() {
  if (env_) mdb_env_close(env_);
}

Result<Database::Txn> Database::read() const {
  MDB_txn* txn = nullptr;
  if (const int e = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn))
    return lmdb_error(e, "read", path_);
  return Txn(*this, txn);
}

Result<Database::Txn> Database::write() {
  MDB_txn* txn = nullptr;
  if (const int e = mdb_txn_begin(env_, nullptr, 0, &txn)) return lmdb_error(e, "write", path_);
  return Txn(*this, txn);
}

Result<MDB_dbi> Database::database(const char* name) {
  TRY(txn, write());
  MDB_dbi dbi = 0;
  if (const int e = mdb_dbi_open(txn.get(), name, MDB_CREATE, &dbi))
    return lmdb_error(e, "open", path_);
  TRY_DO(txn.commit());
  return dbi;
}

Result<> Database::sync() {
  if (const int e = mdb_env_sync(env_, 1)) return lmdb_error(e, "sync", path_);
  return {};
}

Result<std::optional<ByteView>> Database::Txn::get(MDB_dbi dbi, ByteView key) {
  auto k = to_lmdb(key);
  MDB_val value;
  const int e = mdb_get(txn_, dbi, &k, &value);
  if (e == MDB_NOTFOUND) return std::optional<ByteView>();
  if (e) return lmdb_error(e, "read", env_->path());
  return from_lmdb(value);
}

Result<> Database::Txn::put(MDB_dbi dbi, ByteView key, ByteView value, unsigned flags) {
  auto k = to_lmdb(key);
  auto v = to_lmdb(value);
  if (const int e = mdb_put(txn_, dbi, &k, &v, flags)) return lmdb_error(e, "write", env_->path());
  return {};
}

Result<MutableBytes> Database::Txn::reserve(MDB_dbi dbi, ByteView key, std::size_t size) {
  auto k = to_lmdb(key);
  MDB_val v{size, nullptr};
  if (const int e = mdb_put(txn_, dbi, &k, &v, MDB_RESERVE))
    return lmdb_error(e, "write", env_->path());
  return MutableBytes(static_cast<std::uint8_t*>(v.mv_data), v.mv_size);
}

Result<bool> Database::Txn::remove(MDB_dbi dbi, ByteView key) {
  auto k = to_lmdb(key);
  const int e = mdb_del(txn_, dbi, &k, nullptr);
  if (e == MDB_NOTFOUND) return false;
  if (e) return lmdb_error(e, "write", env_->path());
  return true;
}

Result<> Database::Txn::each(MDB_dbi dbi, ByteView from,
                             const std::function<Result<bool>(ByteView, ByteView)>& visit) {
  MDB_cursor* raw = nullptr;
  if (const int e = mdb_cursor_open(txn_, dbi, &raw)) return lmdb_error(e, "read", env_->path());
  const std::unique_ptr<MDB_cursor, void (*)(MDB_cursor*)> cursor(raw, mdb_cursor_close);
  auto key = to_lmdb(from);
  MDB_val value;
  int e = mdb_cursor_get(raw, &key, &value, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (; e == 0; e = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
    TRY(go_on, visit(from_lmdb(key), from_lmdb(value)));
    if (!go_on) return {};
  }
  if (e != MDB_NOTFOUND) return lmdb_error(e, "read", env_->path());
  return {};
}

Result<> Database::Txn::clear(MDB_dbi dbi) {
  if (const int e = mdb_drop(txn_, dbi, 0)) return lmdb_error(e, "write", env_->path());
  return {};
}

Result<std::uint64_t> Database::Txn::entries(MDB_dbi dbi) {
  MDB_stat stat;
  if (const int e = mdb_stat(txn_, dbi, &stat)) return lmdb_error(e, "read", env_->path());
  return stat.ms_entries;
}

Result<> Database::Txn::commit() {
  if (const int e = mdb_txn_commit(std::exchange(txn_, nullptr)))
    return lmdb_error(e, "write", env_->path());
  return {};
}

}  // namespace lafs::cache
