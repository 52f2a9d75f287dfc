// SPDX-License-Identifier: Apache-2.0
#include "grid/server/collection.h"

#include "grid/base/base32.h"
#include "grid/base/log.h"
#include "grid/server/mutable_slot.h"
#include "grid/server/share_file.h"

namespace lafs::grid::storage {

namespace {

constexpr std::size_t most_named = 100;

void sum(Amount& to, const Amount& more) {
  to.shares += more.shares;
  to.data_bytes += more.data_bytes;
  to.disk_bytes += more.disk_bytes;
}

void sum(ByKind& to, const ByKind& more) {
  sum(to.immutable, more.immutable);
  sum(to.mutable_, more.mutable_);
}

// Takes the leases that have run out off a share that has others.
Result<std::size_t> cancel_expired(Disk& disk, const std::filesystem::path& path, ShareKind kind,
                                   const ExpiryPolicy& policy, std::int64_t now) {
  const auto gone = [&](const Lease& lease) { return policy.expired(kind, lease.expiration, now); };
  std::size_t count = 0;
  if (kind == ShareKind::mutable_) {
    TRY(slot, MutableSlot::open(path, true));
    TRY(cleared, slot.cancel_if(disk, gone));
    count = cleared;
    TRY_DO(disk.sync(slot.file()));
    return count;
  }
  TRY(share, ShareFile::open(path, true));
  TRY(leases, share.leases());
  // From the last to the first, so that indexes stay what they are.
  for (std::size_t i = leases.size(); i-- > 0;) {
    if (!gone(leases[i])) continue;
    TRY_DO(share.cancel(disk, i));
    ++count;
  }
  TRY_DO(disk.sync(share.file()));
  return count;
}

}  // namespace

Amount ByKind::total() const {
  Amount out = immutable;
  sum(out, mutable_);
  return out;
}

void LeaseAges::add(std::uint32_t expiration, std::int64_t now) {
  const auto age = (now - (std::int64_t{expiration} - lease_duration)) / (24 * 3600);
  std::size_t i = 0;
  while (i < days.size() && age >= std::int64_t{days[i]}) ++i;
  ++leases[i];
}

void CollectionTally::add(const CollectionTally& more) {
  buckets += more.buckets;
  sum(examined, more.examined);
  sum(expired, more.expired);
  sum(removed, more.removed);
  leases += more.leases;
  leases_expired += more.leases_expired;
  leases_removed += more.leases_removed;
  without_leases += more.without_leases;
  for (std::size_t i = 0; i < ages.leases.size(); ++i) ages.leases[i] += more.ages.leases[i];
  unreadable += more.unreadable;
  for (const auto& name : more.unreadable_shares) {
    if (unreadable_shares.size() < most_named) unreadable_shares.push_back(name);
  }
  failed += more.failed;
}

Result<BucketReport> collect_bucket(Disk& disk, const ShareTree& tree, const StorageIndex& si,
                                    const ExpiryPolicy& policy, bool remove, std::int64_t now) {
  BucketReport out;
  TRY(numbers, share_numbers(tree.bucket(si)));
  out.tally.buckets = numbers.empty() ? 0 : 1;
  bool removed_some = false;
  for (auto number : numbers) {
    const auto path = tree.share(si, number);
    const auto name = si.text() + "/" + std::to_string(number.value);
    auto facts = share_facts(path);
    if (!facts) {
      if (facts.error().code == Errc::not_found) continue;
      out.tally.unreadable += 1;
      out.tally.unreadable_shares.push_back(name);
      continue;
    }
    auto& t = out.tally;
    t.examined.add(*facts);
    t.leases += facts->leases.size();
    std::size_t expired = 0;
    for (const auto& lease : facts->leases) {
      t.ages.add(lease.expiration, now);
      expired += policy.expired(facts->kind, lease.expiration, now);
    }
    t.leases_expired += expired;
    t.without_leases += facts->leases.empty();
    const bool whole = expired > 0 && expired == facts->leases.size();
    if (whole) t.expired.add(*facts);
    if (expired > 0 && remove && policy.enabled) {
      Result<> done;
      if (whole) {
        done = disk.remove(path);
        if (done) {
          log::info(
              "collected a share",
              {{"share", name}, {"bytes", facts->disk_bytes}, {"leases", std::uint64_t{expired}}});
          t.removed.add(*facts);
          t.leases_removed += expired;
          removed_some = true;
          continue;
        }
      } else {
        auto cancelled = cancel_expired(disk, path, facts->kind, policy, now);
        if (cancelled) {
          t.leases_removed += *cancelled;
          facts = share_facts(path);
          if (!facts) continue;
        } else {
          done = std::unexpected(std::move(cancelled).error());
        }
      }
      if (!done) {
        t.failed += 1;
        log::warning("a share was not collected: " + done.error().message(), {{"share", name}});
      }
    }
    out.left.emplace(number, std::move(*facts));
  }
  if (removed_some) {
    // Nothing is lost when this does not last: the next walk does it again.
    if (!disk.remove_directory(tree.bucket(si))) (void)disk.sync_directory(tree.bucket(si));
  }
  return out;
}

std::map<ShareNo, ShareFacts> facts_of_bucket(const ShareTree& tree, const StorageIndex& si) {
  std::map<ShareNo, ShareFacts> out;
  const auto numbers = share_numbers(tree.bucket(si));
  if (!numbers) return out;
  for (auto number : *numbers) {
    if (auto facts = share_facts(tree.share(si, number))) out.emplace(number, std::move(*facts));
  }
  return out;
}

unsigned prefix_of(const StorageIndex& si) {
  return (unsigned{si.bytes[0]} << 2) | (unsigned{si.bytes[1]} >> 6);
}

Result<std::vector<StorageIndex>> buckets_of(const ShareTree& tree, unsigned prefix) {
  StorageIndex first;
  first.bytes[0] = static_cast<std::uint8_t>(prefix >> 2);
  first.bytes[1] = static_cast<std::uint8_t>(prefix << 6);
  const auto directory = tree.bucket(first).parent_path();
  std::vector<StorageIndex> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const auto si = StorageIndex::from_text(it->path().filename().string());
    if (si && prefix_of(*si) == prefix) out.push_back(*si);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Errc::io, "listing " + directory.string() + ": " + error.message());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace lafs::grid::storage
