// SPDX-License-Identifier: Apache-2.0
#include "grid/server/usage_index.h"

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "grid/base/log.h"
#include "grid/server/disk.h"

namespace lafs::grid::storage {

namespace {

constexpr std::size_t map_size = std::size_t{16} << 30;  // of addresses, not of memory or disk
constexpr std::size_t key_size = 20;
constexpr std::string_view complete_key = "complete";
constexpr const char* file_name = "lafs-usage.mdb";
constexpr const char* owner_name = "lafs-usage.open";

using Key = std::array<std::uint8_t, key_size>;

Key key_of(const StorageIndex& si, ShareNo number) {
  Key key;
  std::copy_n(si.bytes.begin(), 16, key.begin());
  put_be<std::uint32_t>(key.data() + 16, static_cast<std::uint32_t>(number.value));
  return key;
}

MDB_val val(ByteView bytes) {
  return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};  // LMDB does not change it
}
ByteView view(const MDB_val& v) { return {static_cast<const std::uint8_t*>(v.mv_data), v.mv_size}; }

// Different after every start of the machine.
std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

void subtract(Amount& from, const ShareFacts& facts) {
  from.shares -= 1;
  from.data_bytes -= facts.data_bytes;
  from.disk_bytes -= facts.disk_bytes;
}

void forget(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::filesystem::remove(directory / file_name, ignored);
  std::filesystem::remove((directory / file_name).string() + "-lock", ignored);
}

}  // namespace

struct UsageIndex::State {
  ~State() {
    if (txn) mdb_txn_abort(txn);
    if (env) mdb_env_close(env);
  }

  Result<> open(const std::filesystem::path& directory, bool read_only);
  Result<> begin();
  void broken(const char* doing, int error);
  // Calls `visit(key, value)` from `first` on until it returns false.
  void scan(ByteView first, const std::function<bool(ByteView, ByteView)>& visit) const;
  void put(ByteView key, ByteView value);
  void erase(ByteView key);

  std::filesystem::path owner_file;
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;  // nothing: the index is switched off
  MDB_dbi dbi = 0;
  bool writable = false;
  bool changed = false;
  bool complete = false;
  bool left_open = false;
  ByKind totals;
};

Result<> UsageIndex::State::open(const std::filesystem::path& directory, bool read_only) {
  const auto path = directory / file_name;
  const auto failed = [&](int error) -> std::unexpected<Error> {
    return fail(error == ENOENT ? Errc::not_found : Errc::io,
                path.string() + ": " + mdb_strerror(error));
  };
  if (int e = mdb_env_create(&env)) return failed(e);
  if (int e = mdb_env_set_mapsize(env, map_size)) return failed(e);
  const unsigned flags =
      MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (read_only ? MDB_RDONLY : MDB_NOSYNC);
  if (int e = mdb_env_open(env, path.c_str(), flags, 0600)) return failed(e);
  writable = !read_only;
  TRY_DO(begin());
  if (int e = mdb_dbi_open(txn, nullptr, 0, &dbi)) return failed(e);
  scan({}, [&](ByteView key, ByteView value) {
    if (key.size() == key_size) {
      if (auto facts = decode_facts(value)) totals.add(*facts);
    } else if (equal(key, as_bytes(complete_key))) {
      complete = true;
    }
    return true;
  });
  return {};
}

Result<> UsageIndex::State::begin() {
  if (int e = mdb_txn_begin(env, nullptr, writable ? 0 : MDB_RDONLY, &txn)) {
    txn = nullptr;
    return fail(Errc::io, std::string("usage index: ") + mdb_strerror(e));
  }
  return {};
}

void UsageIndex::State::broken(const char* doing, int error) {
  log::error(std::string("the usage index is switched off until the next start: ") + doing + ": " +
             mdb_strerror(error));
  if (txn) mdb_txn_abort(txn);
  txn = nullptr;
  complete = false;
}

void UsageIndex::State::scan(ByteView first,
                             const std::function<bool(ByteView, ByteView)>& visit) const {
  MDB_cursor* cursor = nullptr;
  if (!txn || mdb_cursor_open(txn, dbi, &cursor)) return;
  MDB_val key = val(first);
  MDB_val value{};
  int e = mdb_cursor_get(cursor, &key, &value, first.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (e == 0 && visit(view(key), view(value)))
    e = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  mdb_cursor_close(cursor);
}

void UsageIndex::State::put(ByteView key, ByteView value) {
  if (!txn) return;
  MDB_val k = val(key);
  MDB_val v = val(value);
  if (int e = mdb_put(txn, dbi, &k, &v, 0)) return broken("writing", e);
  changed = true;
}

void UsageIndex::State::erase(ByteView key) {
  if (!txn) return;
  MDB_val k = val(key);
  const int e = mdb_del(txn, dbi, &k, nullptr);
  if (e && e != MDB_NOTFOUND) return broken("removing", e);
  changed = true;
}

UsageIndex::UsageIndex(std::unique_ptr<State> state) : state_(std::move(state)) {}

std::unique_ptr<UsageIndex> UsageIndex::make_anew(const std::filesystem::path& directory) {
  forget(directory);
  return open(directory);
}

std::unique_ptr<UsageIndex> UsageIndex::open(const std::filesystem::path& directory) {
  const auto owner = directory / owner_name;
  bool left_open = false;
  if (std::ifstream in(owner); in) {
    left_open = true;
    std::string since;
    std::getline(in, since);
    if (since.empty() || since != boot_id()) forget(directory);  // the machine went down under it
  }
  std::ofstream(owner, std::ios::trunc) << boot_id() << '\n';

  auto state = std::make_unique<State>();
  auto opened = state->open(directory, false);
  if (!opened) {
    log::warning("the usage index is made anew: " + opened.error().message());
    state = std::make_unique<State>();
    forget(directory);
    opened = state->open(directory, false);
    if (!opened) {
      log::error("there is no usage index: " + opened.error().message());
      state = std::make_unique<State>();
    }
  }
  state->owner_file = owner;
  state->left_open = left_open;
  return std::unique_ptr<UsageIndex>(new UsageIndex(std::move(state)));
}

Result<std::unique_ptr<UsageIndex>> UsageIndex::open_to_read(
    const std::filesystem::path& directory) {
  auto state = std::make_unique<State>();
  TRY_DO(state->open(directory, true));
  return std::unique_ptr<UsageIndex>(new UsageIndex(std::move(state)));
}

UsageIndex::~UsageIndex() {
  auto& s = *state_;
  if (!s.writable || !s.txn) return;
  commit();
  // Synced before the note goes that says that it may not be.
  if (mdb_env_sync(s.env, 1) == 0) {
    std::error_code ignored;
    std::filesystem::remove(s.owner_file, ignored);
  }
}

bool UsageIndex::complete() const { return state_->complete; }
bool UsageIndex::wants_walk() const { return !state_->complete || state_->left_open; }

void UsageIndex::set_complete(bool complete) {
  if (complete) state_->left_open = false;
  if (complete == state_->complete || !state_->txn) return;
  state_->complete = complete;
  if (complete) {
    state_->put(as_bytes(complete_key), {});
  } else {
    state_->erase(as_bytes(complete_key));
  }
}

const ByKind& UsageIndex::totals() const { return state_->totals; }

std::map<ShareNo, ShareFacts> UsageIndex::of(const StorageIndex& si) const {
  std::map<ShareNo, ShareFacts> out;
  state_->scan(key_of(si, ShareNo{0}), [&](ByteView key, ByteView value) {
    if (key.size() != key_size || !equal(key.first(16), si.bytes)) return false;
    const ShareNo number{get_be<std::uint32_t>(key.data() + 16)};
    // A record that cannot be read counts as none: it is written again.
    if (auto facts = decode_facts(value)) out.emplace(number, std::move(*facts));
    return true;
  });
  return out;
}

void UsageIndex::set(const StorageIndex& si, const std::map<ShareNo, ShareFacts>& shares) {
  auto& s = *state_;
  const auto before = of(si);
  for (const auto& [number, facts] : before) {
    const auto now = shares.find(number);
    if (now != shares.end() && now->second == facts) continue;
    subtract(facts.kind == ShareKind::immutable ? s.totals.immutable : s.totals.mutable_, facts);
    if (now == shares.end()) s.erase(key_of(si, number));
  }
  for (const auto& [number, facts] : shares) {
    const auto old = before.find(number);
    if (old != before.end() && old->second == facts) continue;
    s.totals.add(facts);
    s.put(key_of(si, number), encode_facts(facts));
  }
}

std::vector<StorageIndex> UsageIndex::buckets_of(unsigned prefix) const {
  StorageIndex first;
  first.bytes[0] = static_cast<std::uint8_t>(prefix >> 2);
  first.bytes[1] = static_cast<std::uint8_t>(prefix << 6);
  std::vector<StorageIndex> out;
  state_->scan(key_of(first, ShareNo{0}), [&](ByteView key, ByteView) {
    if (key.size() != key_size) return true;
    StorageIndex si;
    std::copy_n(key.begin(), 16, si.bytes.begin());
    if (prefix_of(si) != prefix) return false;
    if (out.empty() || out.back() != si) out.push_back(si);
    return true;
  });
  return out;
}

void UsageIndex::each(
    const std::function<bool(const StorageIndex&, ShareNo, const ShareFacts&)>& visit) const {
  state_->scan({}, [&](ByteView key, ByteView value) {
    if (key.size() != key_size) return true;
    StorageIndex si;
    std::copy_n(key.begin(), 16, si.bytes.begin());
    auto facts = decode_facts(value);
    return !facts || visit(si, ShareNo{get_be<std::uint32_t>(key.data() + 16)}, *facts);
  });
}

void UsageIndex::abandon() {
  auto& s = *state_;
  if (s.txn) mdb_txn_abort(s.txn);
  s.txn = nullptr;
  s.complete = false;
}

void UsageIndex::commit() {
  auto& s = *state_;
  if (!s.txn || !s.changed) return;
  s.changed = false;
  const int e = mdb_txn_commit(s.txn);
  s.txn = nullptr;
  if (e) return s.broken("committing", e);
  if (auto again = s.begin(); !again) log::error(again.error().message());
}

}  // namespace lafs::grid::storage
