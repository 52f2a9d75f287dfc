// SPDX-License-Identifier: Apache-2.0

// DiskServer: immutable uploads.

#include "grid/base/log.h"
#include "grid/server/disk_state.h"

namespace lafs::grid::storage {

namespace {

// Up to this, a write to the page cache is cheaper than a hop to the pool and back.
constexpr std::size_t inline_write = 64 << 10;

}  // namespace

// Which complete immutable shares there are; each gets the lease. On the pool; the caller has the
// turn.
Result<std::set<ShareNo>> DiskServer::State::lease_complete_shares(StorageIndex si,
                                                                   const LeaseSecrets& lease,
                                                                   std::uint32_t owner) {
  TRY(numbers, share_numbers(tree.bucket(si)));
  for (auto number : numbers) {
    const auto path = tree.share(si, number);
    TRY_DO(check_share_kind(path, ShareKind::immutable));
    auto share = ShareFile::open(path, true);
    if (!share) continue;  // unreadable, yet there: the number is taken
    // A full disk must not keep the client from learning that the share is there.
    auto leased = share->add_or_renew(disk, lease, owner, expiration());
    if (leased) leased = disk.sync(share->file());
    if (!leased) log::warning("lease not recorded: " + leased.error().message());
  }
  return numbers;
}

Task<Result<Allocation>> DiskServer::allocate(StorageIndex si, std::set<ShareNo> numbers,
                                              std::uint64_t share_size, LeaseSecrets lease,
                                              UploadSecret upload) {
  LAFS_ENTER();
  if (share_size == 0) co_return fail(Errc::bad_argument, "a share of no bytes");
  const auto turn = co_await s.turns.write(si);
  std::vector<ShareNo> wanted;
  for (auto number : numbers)
    if (!s.uploads.find({si, number})) wanted.push_back(number);
  auto left = s.space.available(s.in_use());
  const auto first_lease = make_lease(ContainerVersion::hashed_secrets, 0, s.expiration(), lease);
  const auto create = [&](const std::filesystem::path& path) -> Result<ShareFile> {
    // It need not last: what is there when a server starts is thrown away.
    TRY_DO(s.disk.make_missing(s.tree.shares(), path.parent_path()));
    return ShareFile::create(s.disk, path, share_size, first_lease);
  };
  std::vector<std::pair<ShareNo, ShareFile>> created;
  auto job = [&]() -> Result<std::set<ShareNo>> {
    TRY(complete, s.lease_complete_shares(si, lease, 0));
    for (auto number : wanted) {
      if (complete.contains(number) || left < share_size) continue;
      left -= share_size;
      const auto path = s.tree.incoming_share(si, number);
      auto file = create(path);
      if (file) {
        created.emplace_back(number, std::move(*file));
      } else {
        // Not granted, as if there were no space: mostly there is none.
        log::warning("share not accepted: " + file.error().message());
        (void)s.disk.remove(path);
      }
    }
    return complete;
  };
  Allocation out;
  CO_TRY(complete, co_await s.change(si, std::ref(job)));
  out.already_have = std::move(complete);
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
  CO_TRY_DO(co_await settle(key.first));
  auto share = std::make_shared<CompleteShare>(
      CompleteShare{key, std::move(upload), uploads.count(key.first) == 1});
  complete.push_back(share);
  if (!placing) {
    placing = true;
    background.spawn(place_complete());
  }
  while (!placed.contains(share)) co_await some_placed.wait_shielded();
  auto done = std::move(placed.extract(share).mapped());
  uploads.remove(key);
  if (!done) (void)disk.remove(tree.incoming_share(key.first, key.second));
  co_return done;
}

// Those that come while some are being synced go together the next time.
Task<> DiskServer::State::place_complete() {
  while (!complete.empty()) {
    const auto shares = std::exchange(complete, {});
    std::map<StorageIndex, std::map<ShareNo, ShareFacts>> buckets;
    auto job = [&] {
      auto out = place_shares(disk, tree, shares);
      if (index)
        for (const auto& share : shares)
          buckets[share->key.first] = facts_of_bucket(tree, share->key.first);
      return out;
    };
    auto outcomes = co_await offload(pool, std::ref(job));
    if (index)
      for (const auto& [si, facts] : buckets) index->set(si, facts);
    for (std::size_t i = 0; i < shares.size(); ++i)
      placed.emplace(shares[i], std::move(outcomes[i]));
    some_placed.notify();
  }
  placing = false;
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
