// SPDX-License-Identifier: Apache-2.0
#include "grid/server/disk_server.h"

#include <ctime>

#include "grid/base/log.h"
#include "grid/server/mutable_shares.h"
#include "grid/server/share_file.h"
#include "grid/server/share_tree.h"
#include "grid/server/space.h"
#include "grid/server/turns.h"
#include "grid/server/uploads.h"
#include "grid/storage/messages.h"

namespace lafs::grid::storage {

namespace {

// Up to this, a write to the page cache is cheaper than a hop to the pool and back.
constexpr std::size_t inline_write = 64 << 10;
constexpr std::size_t inline_read = 256 << 10;

Result<> wrong_kind(ShareKind there) {
  return fail(Errc::refused, there == ShareKind::mutable_ ? "mutable shares are there"
                                                          : "immutable shares are there");
}

// Errc::refused when a share of the bucket is not of this kind.
Result<> check_kind(const std::filesystem::path& path, ShareKind kind) {
  TRY(file, File::open(path));
  TRY(is_mutable, is_mutable_share(file));
  const auto there = is_mutable ? ShareKind::mutable_ : ShareKind::immutable;
  return there == kind ? Result<>{} : wrong_kind(there);
}

Result<Bytes> read_share(const ShareTree& tree, ShareKind kind, const StorageIndex& si,
                         ShareNo number, std::uint64_t offset, std::uint64_t length) {
  const auto path = tree.share(si, number);
  TRY_DO(check_kind(path, kind));
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

struct DiskServer::State {
  State(asio::any_io_executor e, Pool& p, Options o)
      : executor(e),
        pool(p),
        tree(o.directory),
        disk(o.durable, o.allow_step),
        space(
            o.free_space ? o.free_space : [where = tree.shares()] { return free_space_of(where); },
            o.reserved_space, o.read_only),
        options(std::move(o)),
        gate(e),
        turns(e),
        background(e) {}

  Result<> prepare_directories();
  std::uint32_t expiration() const;
  Task<Result<std::set<ShareNo>>> lease_complete_shares(StorageIndex si, LeaseSecrets lease,
                                                        std::uint32_t owner);
  Task<Result<>> finish(Uploads::Key key, std::shared_ptr<Upload> upload);
  Task<Result<>> discard(Uploads::Key key);
  Task<> expire_idle_uploads();

  asio::any_io_executor executor;
  Pool& pool;
  ShareTree tree;
  Disk disk;
  Space space;
  Options options;
  Gate gate;
  Turns turns;
  Uploads uploads;
  TaskGroup background;
  bool expiring = false;  // expire_idle_uploads() is running
};

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
  return disk.make_directories(tree.shares(), tree.incoming());
}

std::uint32_t DiskServer::State::expiration() const {
  return expiration_after(options.unix_time ? options.unix_time() : std::time(nullptr));
}

Result<std::unique_ptr<DiskServer>> DiskServer::open(asio::any_io_executor executor, Pool& pool,
                                                     Options options) {
  auto state = std::make_unique<State>(std::move(executor), pool, std::move(options));
  TRY_DO(state->prepare_directories());
  return std::unique_ptr<DiskServer>(new DiskServer(std::move(state)));
}

DiskServer::DiskServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
DiskServer::~DiskServer() = default;

bool DiskServer::has_shares() const {
  std::error_code error;
  for (std::filesystem::directory_iterator it(state_->tree.shares(), error), end;
       !error && it != end; it.increment(error)) {
    if (it->path().filename() != "incoming") return true;
  }
  return false;
}

std::size_t DiskServer::uploads_in_progress() const { return state_->uploads.size(); }

// Every verb begins here.
#define ENTER()                     \
  State& s = *state_;               \
  const auto pass = s.gate.enter(); \
  if (!pass) co_return fail(Errc::closed, "the storage server has been closed")

Task<Result<ServerVersion>> DiskServer::version() {
  ENTER();
  ServerVersion out;
  out.available_space = s.space.recently_available(Clock::now());
  out.max_immutable_share_size = out.available_space;
  out.max_mutable_share_size = MutableSlot::max_data;
  out.application_version = s.options.application_version;
  co_return out;
}

Task<Result<>> DiskServer::add_lease(StorageIndex si, LeaseSecrets lease) {
  ENTER();
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
  co_return co_await offload(s.pool, job);
}

// Which complete immutable shares there are; each gets the lease. The caller has the turn.
Task<Result<std::set<ShareNo>>> DiskServer::State::lease_complete_shares(StorageIndex si,
                                                                         LeaseSecrets lease,
                                                                         std::uint32_t owner) {
  auto job = [this, si, lease, owner, until = expiration()]() -> Result<std::set<ShareNo>> {
    TRY(numbers, share_numbers(tree.bucket(si)));
    for (auto number : numbers) {
      const auto path = tree.share(si, number);
      TRY_DO(check_kind(path, ShareKind::immutable));
      auto share = ShareFile::open(path, true);
      if (!share) continue;  // unreadable, yet there: the number is taken
      // A full disk must not keep the client from learning that the share is there.
      auto leased = share->add_or_renew(disk, lease, owner, until);
      if (leased) leased = disk.sync(share->file());
      if (!leased) log::warning("lease not recorded: " + leased.error().message());
    }
    return numbers;
  };
  co_return co_await offload(pool, job);
}

Task<Result<Allocation>> DiskServer::allocate(StorageIndex si, std::set<ShareNo> numbers,
                                              std::uint64_t share_size, LeaseSecrets lease,
                                              UploadSecret upload) {
  ENTER();
  if (share_size == 0) co_return fail(Errc::bad_argument, "a share of no bytes");
  const auto turn = co_await s.turns.write(si);
  Allocation out;
  CO_TRY(complete, co_await s.lease_complete_shares(si, lease, 0));
  out.already_have = std::move(complete);

  const auto reserved = s.uploads.reserved();
  const auto available = s.space.available();
  auto left = available > reserved ? available - reserved : 0;
  std::vector<ShareNo> wanted;
  for (auto number : numbers) {
    if (out.already_have.contains(number) || s.uploads.find({si, number})) continue;
    if (left < share_size) continue;
    left -= share_size;
    wanted.push_back(number);
  }
  if (wanted.empty()) co_return out;

  const auto first_lease = make_lease(ContainerVersion::hashed_secrets, 0, s.expiration(), lease);
  using Created = std::vector<std::pair<ShareNo, ShareFile>>;
  auto job = [&s, si, &wanted, share_size, &first_lease]() -> Result<Created> {
    TRY_DO(s.disk.make_directories(s.tree.shares(), s.tree.bucket(si)));
    TRY_DO(s.disk.make_directories(s.tree.shares(), s.tree.incoming_bucket(si)));
    Created created;
    for (auto number : wanted) {
      const auto path = s.tree.incoming_share(si, number);
      auto file = ShareFile::create(s.disk, path, share_size, first_lease);
      if (file) {
        created.emplace_back(number, std::move(*file));
      } else {
        // Not granted, as if there were no space: mostly there is none.
        log::warning("share not accepted: " + file.error().message());
        (void)s.disk.remove(path);
      }
    }
    return created;
  };
  CO_TRY(created, co_await offload(s.pool, job));
  const auto now = Clock::now();
  for (auto& [number, file] : created) {
    s.uploads.add({si, number},
                  std::make_shared<Upload>(s.executor, std::move(file), upload, share_size, now));
    out.allocated.insert(number);
  }
  if (!s.expiring) {
    s.expiring = true;
    s.background.spawn(s.expire_idle_uploads());
  }
  co_return out;
}

Task<Result<WriteProgress>> DiskServer::write(StorageIndex si, ShareNo number, UploadSecret secret,
                                              std::uint64_t offset, ByteView data) {
  ENTER();
  const Uploads::Key key{si, number};
  CO_TRY(upload, s.uploads.find(key, secret));
  CO_TRY(range, check_write(upload->size, offset, data.size()));
  const auto turn = co_await upload->turn.acquire();
  if (upload->over) co_return fail(Errc::not_found, "the upload of this share is over");
  upload->last_used = Clock::now();

  auto job = [&]() -> Result<> {
    for (const auto& r : upload->written.present(range)) {
      TRY(there, upload->file.read(r.begin, r.size()));
      if (!equal(there, data.subspan(r.begin - offset, r.size()))) {
        return fail(Errc::conflict, "other bytes are there already");
      }
    }
    return upload->file.write(s.disk, offset, data);
  };
  Result<> written;
  if (data.size() <= inline_write) {
    written = job();
  } else {
    written = co_await offload(s.pool, std::ref(job));
  }
  if (!written) co_return std::unexpected(std::move(written).error());
  upload->written.add(range);
  upload->last_used = Clock::now();

  WriteProgress out;
  out.required = upload->written.missing({0, upload->size});
  if (out.required.empty()) {
    CO_TRY_DO(co_await s.finish(key, upload));
    out.complete = true;
  }
  co_return out;
}

// The caller has the upload's turn.
Task<Result<>> DiskServer::State::finish(Uploads::Key key, std::shared_ptr<Upload> upload) {
  const auto turn = co_await turns.write(key.first);
  auto job = [this, key, upload]() -> Result<> {
    const auto& [si, number] = key;
    // The data before the name: a share that can be found is whole, whenever the power goes.
    TRY_DO(disk.sync(upload->file.file()));
    TRY_DO(disk.make_directories(tree.shares(), tree.bucket(si)));
    TRY_DO(disk.rename(tree.incoming_share(si, number), tree.share(si, number)));
    if (disk.remove_directory(tree.incoming_bucket(si))) {
      disk.remove_directory(tree.incoming_bucket(si).parent_path());
    }
    return disk.sync_directory(tree.bucket(si));
  };
  auto done = co_await offload(pool, job);
  uploads.remove(key);
  if (!done) (void)disk.remove(tree.incoming_share(key.first, key.second));
  co_return done;
}

Task<Result<>> DiskServer::abort(StorageIndex si, ShareNo number, UploadSecret secret) {
  ENTER();
  const Uploads::Key key{si, number};
  auto upload = s.uploads.find(key, secret);
  if (!upload) {
    if (upload.error().code != Errc::not_found) co_return std::unexpected(upload.error());
    const auto turn = co_await s.turns.read(si);
    const auto path = s.tree.share(si, number);
    const bool complete = co_await offload(s.pool, [&path] {
      std::error_code ignored;
      return std::filesystem::exists(path, ignored);
    });
    if (complete) co_return fail(Errc::refused, "the share is complete already");
    co_return std::unexpected(upload.error());
  }
  const auto turn = co_await (*upload)->turn.acquire();
  if ((*upload)->over) co_return fail(Errc::refused, "the share is complete already");
  co_return co_await s.discard(key);
}

// Ends an upload and removes its file. The caller has the upload's turn.
Task<Result<>> DiskServer::State::discard(Uploads::Key key) {
  uploads.remove(key);
  const auto turn = co_await turns.write(key.first);
  auto job = [this, key]() -> Result<> {
    const auto& [si, number] = key;
    TRY_DO(disk.remove(tree.incoming_share(si, number)));
    disk.remove_directory(tree.incoming_bucket(si));
    disk.remove_directory(tree.bucket(si));  // made when the upload began
    return {};
  };
  co_return co_await offload(pool, job);
}

Task<> DiskServer::State::expire_idle_uploads() {
  while (!gate.closed()) {
    const auto oldest = uploads.oldest_use();
    if (!oldest) break;
    const auto due = *oldest + options.upload_timeout;
    if (due > Clock::now()) co_await sleep_for(due - Clock::now());
    const bool stop = co_await stop_requested();
    if (stop) break;
    const auto limit = Clock::now() - options.upload_timeout;
    for (const auto& key : uploads.idle_since(limit)) {
      auto upload = uploads.find(key);
      if (!upload) continue;
      const auto turn = co_await upload->turn.acquire();
      if (upload->over || upload->last_used > limit) continue;
      auto gone = co_await discard(key);
      if (!gone) log::warning("idle upload not removed: " + gone.error().message());
    }
  }
  expiring = false;
}

Task<Result<std::set<ShareNo>>> DiskServer::list(ShareKind kind, StorageIndex si) {
  ENTER();
  const auto turn = co_await s.turns.read(si);
  auto job = [&s, kind, si]() -> Result<std::set<ShareNo>> {
    TRY(numbers, share_numbers(s.tree.bucket(si)));
    // As Tahoe: the listing of mutable shares does not look at their kind.
    if (kind == ShareKind::immutable) {
      for (auto number : numbers) TRY_DO(check_kind(s.tree.share(si, number), kind));
    }
    return numbers;
  };
  co_return co_await offload(s.pool, job);
}

Task<Result<Bytes>> DiskServer::read(ShareKind kind, StorageIndex si, ShareNo number,
                                     std::uint64_t offset, std::uint64_t length) {
  ENTER();
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
  ENTER();
  if (reason.empty()) co_return fail(Errc::bad_argument, "a report without a reason");
  if (reason.size() > max_reason) reason.resize(max_reason);
  const auto turn = co_await s.turns.read(si);
  const auto available = s.space.available();
  auto job = [&s, kind, si, number, &reason, available]() -> Result<> {
    TRY(share, File::open(s.tree.share(si, number)));
    const auto text = advisory_text(kind, si, number, reason);
    if (text.size() > available) return {};
    const auto name = advisory_name(std::chrono::system_clock::now(), si, number);
    TRY(file, s.disk.create(s.tree.advisories() / name));
    return s.disk.write(file, 0, as_bytes(text));
  };
  CO_TRY_DO(co_await offload(s.pool, job));
  log::warning("a client reports share " + std::to_string(number.value) + " of " + si.text() +
               " as damaged: see " + s.tree.advisories().string());
  co_return Result<>{};
}

Task<Result<ReadTestWriteReply>> DiskServer::read_test_write(StorageIndex si,
                                                             MutableSecrets secrets,
                                                             ReadTestWrite request) {
  ENTER();
  const auto turn = co_await s.turns.write(si);
  const MutableWriter writer{s.options.node_id, s.expiration()};
  auto job = [&] { return read_test_write_on_disk(s.disk, s.tree, si, secrets, request, writer); };
  co_return co_await offload(s.pool, std::ref(job));
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
}

#undef ENTER

}  // namespace lafs::grid::storage
