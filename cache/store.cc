// SPDX-License-Identifier: Apache-2.0
#include "cache/store.h"

#include <mutex>

#include "cache/database.h"
#include "cache/sealer.h"
#include "grid/base/log.h"
#include "grid/caps/keys.h"
#include "grid/caps/tags.h"

namespace lafs::cache {

namespace {

constexpr std::string_view covered_key = "covered";

}  // namespace

struct Store::State {
  State(Disk& d, Options o)
      : disk(d),
        options(std::move(o)),
        sealer(grid::cache_key(grid::tags::cache_model, options.node_secret)) {}

  Result<> open_database(const std::string& path);

  Disk& disk;
  const Options options;
  std::unique_ptr<Database> db;
  MDB_dbi about = 0, model = 0;
  std::string put_aside;

  mutable std::mutex mutex;  // what follows
  Sealer sealer;
  std::uint64_t damaged = 0;
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

Result<> Store::State::open_database(const std::string& path) {
  TRY_DO(Database::check(path, options.map_bytes));
  TRY(opened, Database::open(path, {.map_bytes = options.map_bytes}));
  TRY(about_dbi, opened->database("about"));
  TRY(model_dbi, opened->database("model"));
  db = std::move(opened);
  about = about_dbi;
  model = model_dbi;
  return {};
}

Result<std::unique_ptr<Store>> Store::open(Disk& disk, Options options) {
  auto state = std::make_unique<State>(disk, std::move(options));
  const auto& directory = state->options.directory;
  TRY_DO(disk.make_directory(directory));
  const auto path = directory + "/model.mdb";
  auto opened = state->open_database(path);
  if (!opened && opened.error().code == Errc::corrupt) {
    log::error("the cache's database is damaged and put aside: " + opened.error().message());
    std::string aside;
    TRY(names, disk.names_in(directory));
    for (unsigned n = 1; aside.empty() || std::ranges::find(names, aside) != names.end(); ++n)
      aside = "model.mdb.damaged-" + std::to_string(n);
    TRY_DO(disk.rename(path, directory + "/" + aside));
    TRY_DO(disk.unlink(path + "-lock"));
    TRY_DO(disk.sync_directory(directory));
    state->put_aside = directory + "/" + aside;
    opened = state->open_database(path);
  }
  if (!opened) return std::unexpected(std::move(opened.error()));
  // The name of a new database.
  TRY_DO(disk.sync_directory(directory));
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Result<> Store::checkpoint(const std::vector<Change>& changes, Sequence covered) {
  const std::lock_guard lock(state_->mutex);
  return state_->disk.commit(state_->db->path(), [&]() -> Result<> {
    TRY(txn, state_->db->write());
    for (const auto& change : changes) {
      if (change.value) {
        const auto sealed = state_->sealer.seal_with_nonce(change.key, *change.value);
        TRY_DO(txn.put(state_->model, change.key, sealed));
      } else {
        TRY_DO(txn.remove(state_->model, change.key));
      }
    }
    std::uint8_t position[8];
    put_be<std::uint64_t>(position, covered);
    TRY_DO(txn.put(state_->about, as_bytes(covered_key),
                   state_->sealer.seal_with_nonce(as_bytes(covered_key), position)));
    return txn.commit();
  });
}

Sequence Store::covered() const {
  auto txn = state_->db->read();
  if (!txn) return 0;
  const auto value = txn->get(state_->about, as_bytes(covered_key));
  if (!value || !*value) return 0;
  const std::lock_guard lock(state_->mutex);
  const auto position = state_->sealer.open_with_nonce(as_bytes(covered_key), **value);
  return position && position->size() == 8 ? get_be<std::uint64_t>(position->data()) : 0;
}

Result<> Store::each(const std::function<Result<>(ByteView, ByteView)>& visit) const {
  TRY(txn, state_->db->read());
  return txn.each(state_->model, {}, [&](ByteView key, ByteView sealed) -> Result<bool> {
    std::optional<Bytes> value;
    {
      const std::lock_guard lock(state_->mutex);
      value = state_->sealer.open_with_nonce(key, sealed);
      if (!value) ++state_->damaged;
    }
    if (value) TRY_DO(visit(key, *value));
    return true;
  });
}

std::uint64_t Store::damaged() const {
  const std::lock_guard lock(state_->mutex);
  return state_->damaged;
}

const std::string& Store::put_aside() const { return state_->put_aside; }

}  // namespace lafs::cache
