// SPDX-License-Identifier: Apache-2.0
#include "grid/server/disk_server.h"

#include <ctime>

#include "grid/base/log.h"
#include "grid/server/disk_state.h"
#include "grid/server/mutable_shares.h"
#include "grid/server/mutable_slot.h"
#include "grid/storage/messages.h"

namespace lafs::grid::storage {

namespace {

constexpr std::size_t inline_read = 256 << 10;
// A client can report without end; the reports beyond these are only logged.
constexpr std::size_t most_advisories = 10'000;
constexpr std::size_t most_checks_waiting = 64;

Result<Bytes> read_share(const ShareTree& tree, ShareKind kind, const StorageIndex& si,
                         ShareNo number, std::uint64_t offset, std::uint64_t length) {
  const auto path = tree.share(si, number);
  TRY_DO(check_share_kind(path, kind));
  if (kind == ShareKind::mutable_) {
    TRY(slot, MutableSlot::open(path));
    return slot.read(offset, length);
  }
  TRY(share, ShareFile::open(path));
  return share.read(offset, length);
}

// When everything is in the page cache; nothing also for every error, which read_share() then
// meets again.
std::optional<Bytes> read_cached_share(const ShareTree& tree, const StorageIndex& si,
                                       ShareNo number, std::uint64_t offset, std::uint64_t length) {
  if (length > inline_read) return std::nullopt;
  auto share = ShareFile::open(tree.share(si, number));
  if (!share) return std::nullopt;
  return share->read_cached(offset, length);
}

}  // namespace

Result<> DiskServer::State::prepare_directories() {
  std::error_code error;
  const auto failed = [&](const std::filesystem::path& path) {
    return std::unexpected(disk_error("preparing", path, error.value()));
  };
  std::filesystem::create_directories(tree.root(), error);
  if (error) return failed(tree.root());
  for (const auto& path : {tree.shares(), tree.advisories()}) {
    TRY_DO(disk.make_directories(tree.root(), path));
  }
  std::filesystem::remove_all(tree.incoming(), error);
  if (error) return failed(tree.incoming());
  for (std::filesystem::directory_iterator it(tree.advisories(), error), end; !error && it != end;
       it.increment(error)) {
    ++advisories;
  }
  TRY_DO(disk.make_directories(tree.shares(), tree.incoming()));
  return MutableJournal::replay(disk, tree);
}

std::int64_t DiskServer::State::now() const {
  return options.unix_time ? options.unix_time() : std::time(nullptr);
}

std::uint32_t DiskServer::State::expiration() const { return expiration_after(now()); }

Result<std::unique_ptr<DiskServer>> DiskServer::open(asio::any_io_executor executor, Pool& pool,
                                                     Options options) {
  auto state = std::make_unique<State>(std::move(executor), pool, std::move(options));
  TRY_DO(state->prepare_directories());
  if (state->options.journal && can_sync_all(state->tree.shares())) {
    TRY(journal, MutableJournal::open(state->executor, pool, state->disk, state->tree,
                                      state->options.journal_growth));
    state->journal = std::move(journal);
  }
  if (state->options.usage_index) {
    state->index = UsageIndex::open(state->tree.root());
    state->background.spawn(state->commit_usage());
  }
  return std::unique_ptr<DiskServer>(new DiskServer(std::move(state)));
}

DiskServer::DiskServer(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->self = this;
}
DiskServer::~DiskServer() = default;

bool DiskServer::has_shares() const {
  std::error_code error;
  for (std::filesystem::directory_iterator it(state_->tree.shares(), error), end;
       !error && it != end; it.increment(error)) {
    if (it->path().filename() != "incoming") return true;
  }
  return false;
}

Task<Result<ServerVersion>> DiskServer::version() {
  LAFS_ENTER();
  ServerVersion out;
  out.available_space = s.space.recently_available(Clock::now(), s.in_use());
  out.max_immutable_share_size = out.available_space;
  out.max_mutable_share_size = MutableSlot::max_data;
  out.application_version = s.options.application_version;
  co_return out;
}

Task<Result<>> DiskServer::add_lease(StorageIndex si, LeaseSecrets lease) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.write(si);
  auto job = [&s, si, lease, expiration = s.expiration()]() -> Result<> {
    TRY(numbers, share_numbers(s.tree.bucket(si)));
    if (numbers.empty()) return fail(Errc::not_found, "no shares of this storage index");
    for (auto number : numbers) {
      const auto path = s.tree.share(si, number);
      TRY(file, File::open(path));
      TRY(is_mutable, is_mutable_share(file));
      if (is_mutable) {
        TRY(slot, MutableSlot::open(path, true));
        TRY_DO(slot.add_or_renew(s.disk, lease, s.options.node_id, expiration));
        TRY_DO(s.disk.sync(slot.file()));
        continue;
      }
      auto share = ShareFile::open(path, true);
      if (!share && share.error().code == Errc::corrupt) continue;  // not one of ours
      if (!share) return std::unexpected(std::move(share).error());
      TRY_DO(share->add_or_renew(s.disk, lease, 1, expiration));
      TRY_DO(s.disk.sync(share->file()));
    }
    return {};
  };
  co_return co_await s.change(si, job);
}

Task<Result<std::set<ShareNo>>> DiskServer::list(ShareKind kind, StorageIndex si) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.read(si);
  auto job = [&s, kind, si]() -> Result<std::set<ShareNo>> {
    TRY(numbers, share_numbers(s.tree.bucket(si)));
    // As Tahoe: the listing of mutable shares does not look at their kind.
    if (kind == ShareKind::immutable) {
      for (auto number : numbers) TRY_DO(check_share_kind(s.tree.share(si, number), kind));
    }
    return numbers;
  };
  co_return co_await offload(s.pool, job);
}

Task<Result<Bytes>> DiskServer::read(ShareKind kind, StorageIndex si, ShareNo number,
                                     std::uint64_t offset, std::uint64_t length) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.read(si);
  if (kind == ShareKind::immutable) {
    auto cached = read_cached_share(s.tree, si, number, offset, length);
    if (cached) co_return std::move(*cached);
  }
  auto job = [&s, kind, si, number, offset, length] {
    return read_share(s.tree, kind, si, number, offset, length);
  };
  co_return co_await offload(s.pool, job);
}

Task<Result<>> DiskServer::advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                          std::string reason) {
  LAFS_ENTER();
  if (reason.empty()) co_return fail(Errc::bad_argument, "a report without a reason");
  if (reason.size() > max_reason) reason.resize(max_reason);
  const auto turn = co_await s.turns.read(si);
  const auto available = s.space.available(s.in_use());
  const auto name = advisory_name(std::chrono::system_clock::now(), si, number);
  auto job = [&s, kind, si, number, &reason, &name, available]() -> Result<bool> {
    TRY(share, File::open(s.tree.share(si, number)));
    const auto text = advisory_text(kind, si, number, reason);
    if (text.size() > available || s.advisories >= most_advisories) return false;
    TRY(file, s.disk.create(s.tree.advisories() / name));
    TRY_DO(s.disk.write(file, 0, as_bytes(text)));
    return true;
  };
  CO_TRY(stored, co_await offload(s.pool, job));
  log::warning("a client reports a share as damaged; see `lafs storage advisories`",
               {{"share", si.text() + "/" + std::to_string(number.value)}});
  if (!stored) co_return Result<>{};
  ++s.advisories;
  if (s.options.check_share && s.checks_waiting < most_checks_waiting) {
    ++s.checks_waiting;
    s.background.spawn(s.check_reported(kind, si, number, name));
  }
  co_return Result<>{};
}

Task<Result<ReadTestWriteReply>> DiskServer::read_test_write(StorageIndex si,
                                                             MutableSecrets secrets,
                                                             ReadTestWrite request) {
  LAFS_ENTER();
  const auto turn = co_await s.turns.write(si);
  const MutableWriter writer{s.options.node_id, s.expiration(), s.space.on_disk(),
                             s.space.below_limit(s.in_use())};
  if (s.journal) {
    const auto room = co_await s.changing.acquire();
    auto plan = [&] { return plan_read_test_write(s.disk, s.tree, si, secrets, request, writer); };
    CO_TRY(planned, co_await offload(s.pool, std::ref(plan)));
    if (planned) {
      if (planned->images.empty()) co_return std::move(planned->reply);
      auto done = co_await s.journal->put(std::move(planned->images));
      if (!done) co_return std::unexpected(std::move(done).error());
      if (s.index) s.index->set(si, planned->facts);
      co_return std::move(planned->reply);
    }
  }
  auto job = [&] { return read_test_write_on_disk(s.disk, s.tree, si, secrets, request, writer); };
  co_return co_await s.change(si, std::ref(job));
}

Task<> DiskServer::close() {
  State& s = *state_;
  co_await s.gate.close();
  s.background.cancel();
  co_await s.background.join();
  for (const auto& key : s.uploads.idle_since(TimePoint::max())) {
    auto gone = co_await s.discard(key);
    if (!gone) log::warning("upload not removed: " + gone.error().message());
  }
  if (s.journal) co_await s.journal->close();
  s.index.reset();
}

}  // namespace lafs::grid::storage
