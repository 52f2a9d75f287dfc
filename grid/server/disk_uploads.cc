// SPDX-License-Identifier: Apache-2.0

// DiskServer: immutable uploads.

#include "grid/base/log.h"
#include "grid/server/disk_state.h"

namespace lafs::grid::storage {

namespace {

// Up to this, a write to the page cache is cheaper than a hop to the pool and back.
constexpr std::size_t inline_write = 64 << 10;

}  // namespace

// Which complete immutable shares there are; each gets the lease. The caller has the turn.
Task<Result<std::set<ShareNo>>> DiskServer::State::lease_complete_shares(StorageIndex si,
                                                                         LeaseSecrets lease,
                                                                         std::uint32_t owner) {
  auto job = [this, si, lease, owner, until = expiration()]() -> Result<std::set<ShareNo>> {
    TRY(numbers, share_numbers(tree.bucket(si)));
    for (auto number : numbers) {
      const auto path = tree.share(si, number);
      TRY_DO(check_share_kind(path, ShareKind::immutable));
      auto share = ShareFile::open(path, true);
      if (!share) continue;  // unreadable, yet there: the number is taken
      // A full disk must not keep the client from learning that the share is there.
      auto leased = share->add_or_renew(disk, lease, owner, until);
      if (leased) leased = disk.sync(share->file());
      if (!leased) log::warning("lease not recorded: " + leased.error().message());
    }
    return numbers;
  };
  co_return co_await change(si, job);
}

Task<Result<Allocation>> DiskServer::allocate(StorageIndex si, std::set<ShareNo> numbers,
                                              std::uint64_t share_size, LeaseSecrets lease,
                                              UploadSecret upload) {
  LAFS_ENTER();
  if (share_size == 0) co_return fail(Errc::bad_argument, "a share of no bytes");
  const auto turn = co_await s.turns.write(si);
  Allocation out;
  CO_TRY(complete, co_await s.lease_complete_shares(si, lease, 0));
  out.already_have = std::move(complete);

  auto left = s.space.available(s.in_use());
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
  LAFS_ENTER();
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
  auto done = co_await change(key.first, job);
  uploads.remove(key);
  if (!done) (void)disk.remove(tree.incoming_share(key.first, key.second));
  co_return done;
}

Task<Result<>> DiskServer::abort(StorageIndex si, ShareNo number, UploadSecret secret) {
  LAFS_ENTER();
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

}  // namespace lafs::grid::storage
