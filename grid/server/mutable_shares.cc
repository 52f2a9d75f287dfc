// SPDX-License-Identifier: Apache-2.0
#include "grid/server/mutable_shares.h"

#include "grid/server/mutable_journal.h"

namespace lafs::grid::storage {

namespace {

// A request's few numbers can ask for many times its size; no honest client reads this much so.
constexpr std::uint64_t max_reply = std::uint64_t{256} << 20;
// What the shares of one request may take in memory.
constexpr std::uint64_t most_in_memory = 1 << 20;

using Slots = std::map<ShareNo, MutableSlot>;

// Files of up to `in_memory` bytes are loaded, and changes of them stay in memory.
Result<Slots> open_slots(const ShareTree& tree, const StorageIndex& si,
                         const Secret32& write_enabler, std::uint64_t in_memory) {
  Slots slots;
  TRY(numbers, share_numbers(tree.bucket(si)));
  for (auto number : numbers) {
    const auto path = tree.share(si, number);
    auto file = in_memory > 0 ? File::load(path, in_memory) : File::open(path, true);
    auto opened = file ? MutableSlot::open(std::move(*file)) : std::unexpected(file.error());
    if (!opened && opened.error().code == Errc::corrupt) {
      TRY(other, File::open(path));
      TRY(is_mutable, is_mutable_share(other));
      if (!is_mutable) return fail(Errc::refused, "immutable shares are there");
    }
    TRY(slot, std::move(opened));
    if (!(slot.write_enabler() == write_enabler)) {
      return fail(Errc::unauthorized, "the write enabler is not the recorded one");
    }
    slots.emplace(number, std::move(slot));
  }
  return slots;
}

Result<bool> tests_pass(const Slots& slots, const ReadTestWrite& request) {
  for (const auto& [number, change] : request.changes) {
    const auto slot = slots.find(number);
    for (const auto& test : change.tests) {
      // One byte more than the specimen shows the difference as well as all of them.
      const auto enough = std::min<std::uint64_t>(test.size, test.specimen.size() + 1);
      Bytes actual;
      if (slot != slots.end()) {
        TRY(bytes, slot->second.read(test.offset, enough));
        actual = std::move(bytes);
      }
      if (actual != test.specimen) return false;
    }
  }
  return true;
}

Result<std::map<ShareNo, std::vector<Bytes>>> read_all(const Slots& slots,
                                                       const std::vector<ReadVector>& reads) {
  std::map<ShareNo, std::vector<Bytes>> out;
  std::uint64_t total = 0;
  for (const auto& [number, slot] : slots) {
    auto& pieces = out[number];
    for (const auto& read : reads) {
      const auto rest = slot.data_length() - std::min(slot.data_length(), read.offset);
      total += std::min(rest, read.size);
      if (total > max_reply) return fail(Errc::too_large, "asks for more than 256 MiB at once");
      TRY(bytes, slot.read(read.offset, read.size));
      pieces.push_back(std::move(bytes));
    }
  }
  return out;
}

// Refuses what cannot end well before any byte of it is written: a copy of every share that changes
// has to fit on the disk for a moment, and what is longer than before must be within the limit.
Result<> check_space(const Slots& slots, const ReadTestWrite& request,
                     const MutableWriter& writer) {
  std::uint64_t copies = 0;
  std::uint64_t growth = 0;
  for (const auto& [number, change] : request.changes) {
    if (change.new_length == 0 || change.writes.empty()) continue;
    const auto slot = slots.find(number);
    const auto length = slot == slots.end() ? 0 : slot->second.data_length();
    std::uint64_t written = 0;  // a write far behind the end leaves a hole, which takes nothing
    std::uint64_t end = length;
    for (const auto& write : change.writes) {
      if (write.offset > MutableSlot::max_data || write.data.size() > MutableSlot::max_data) {
        return fail(Errc::too_large, "a mutable share beyond 69105 TB");
      }
      written += write.data.size();
      end = std::max(end, write.offset + write.data.size());
    }
    copies += length + written;
    growth += std::min(end - length, written);
  }
  if (copies > writer.free) return fail(Errc::no_space, "the disk is full");
  if (growth > 0 && growth > writer.growth) return fail(Errc::no_space, "the server is full");
  return {};
}

Result<> apply(Disk& disk, MutableSlot& slot, const ShareChange& change,
               const MutableSecrets& secrets, const MutableWriter& writer) {
  for (const auto& write : change.writes) TRY_DO(slot.write(disk, write.offset, write.data));
  if (change.new_length) TRY_DO(slot.truncate(disk, *change.new_length));
  return slot.add_or_renew(disk, secrets.lease, writer.node_id, writer.expiration);
}

// The changed share, synced, under its temporary name.
Result<> prepare(Disk& disk, const std::filesystem::path& path, const MutableSlot* old,
                 const ShareChange& change, const MutableSecrets& secrets,
                 const MutableWriter& writer) {
  const auto begin = [&]() -> Result<MutableSlot> {
    if (old) return old->copy_to(disk, path);
    TRY(file, disk.create(path));
    return MutableSlot::create(disk, std::move(file), writer.node_id, secrets.write_enabler);
  };
  TRY(slot, begin());
  TRY_DO(apply(disk, slot, change, secrets, writer));
  return disk.sync(slot.file());
}

// Whether the journal is for this: nothing goes away, and everything that changes is small.
bool fits_journal(const Slots& slots, const ReadTestWrite& request) {
  std::uint64_t together = 0;
  for (const auto& [number, change] : request.changes) {
    const auto found = slots.find(number);
    const auto* old = found == slots.end() ? nullptr : &found->second;
    if (change.new_length == 0) {
      if (old) return false;
      continue;
    }
    if (old && !old->file().memory()) return false;
    together += old ? old->file().memory()->size() : 0;
    for (const auto& write : change.writes) {
      if (write.offset > MutableJournal::largest_image) return false;
      const auto end = write.offset + write.data.size();
      if (end > MutableJournal::largest_image) return false;
      together += end;
    }
    if (together > most_in_memory) return false;
  }
  return true;
}

}  // namespace

Result<std::optional<MutablePlan>> plan_read_test_write(Disk& disk, const ShareTree& tree,
                                                        const StorageIndex& si,
                                                        const MutableSecrets& secrets,
                                                        const ReadTestWrite& request,
                                                        const MutableWriter& writer) {
  TRY(slots, open_slots(tree, si, secrets.write_enabler, MutableJournal::largest_image));
  if (!fits_journal(slots, request)) return std::nullopt;
  MutablePlan plan;
  TRY(passed, tests_pass(slots, request));
  plan.reply.success = passed;
  TRY(data, read_all(slots, request.reads));
  plan.reply.data = std::move(data);
  if (!passed) return plan;
  TRY_DO(check_space(slots, request, writer));
  for (const auto& [number, change] : request.changes) {
    if (change.new_length == 0) continue;
    auto found = slots.find(number);
    if (found == slots.end()) {
      TRY(created, MutableSlot::create(disk, File::in_memory(tree.share(si, number)),
                                       writer.node_id, secrets.write_enabler));
      found = slots.emplace(number, std::move(created)).first;
    }
    TRY_DO(apply(disk, found->second, change, secrets, writer));
    plan.images.push_back({si, number, *found->second.file().memory()});
  }
  if (plan.images.empty()) return plan;
  for (const auto& [number, slot] : slots) {
    TRY(facts, share_facts(slot));
    plan.facts.emplace(number, std::move(facts));
  }
  return plan;
}

Result<ReadTestWriteReply> read_test_write_on_disk(Disk& disk, const ShareTree& tree,
                                                   const StorageIndex& si,
                                                   const MutableSecrets& secrets,
                                                   const ReadTestWrite& request,
                                                   const MutableWriter& writer) {
  TRY(slots, open_slots(tree, si, secrets.write_enabler, 0));
  ReadTestWriteReply reply;
  TRY(passed, tests_pass(slots, request));
  reply.success = passed;
  TRY(data, read_all(slots, request.reads));
  reply.data = std::move(data);
  if (!reply.success) return reply;
  TRY_DO(check_space(slots, request, writer));

  std::vector<ShareNo> replaced;
  std::vector<ShareNo> deleted;
  for (const auto& [number, change] : request.changes) {
    const auto found = slots.find(number);
    auto* slot = found == slots.end() ? nullptr : &found->second;
    if (change.new_length == 0) {
      if (slot) deleted.push_back(number);
      continue;
    }
    const bool shrinks = slot && change.new_length && *change.new_length < slot->data_length();
    if (slot && change.writes.empty() && !shrinks) {
      TRY_DO(slot->add_or_renew(disk, secrets.lease, writer.node_id, writer.expiration));
      TRY_DO(disk.sync(slot->file()));
      continue;
    }
    if (slots.empty() && replaced.empty())
      TRY_DO(disk.make_directories(tree.shares(), tree.bucket(si)));
    const auto path = tree.next_share(si, number);
    if (auto ready = prepare(disk, path, slot, change, secrets, writer); !ready) {
      for (auto done : replaced) (void)disk.remove(tree.next_share(si, done));
      (void)disk.remove(path);
      if (slots.empty()) (void)disk.remove_directory(tree.bucket(si));
      return std::unexpected(std::move(ready).error());
    }
    replaced.push_back(number);
  }

  for (auto number : replaced) {
    TRY_DO(disk.rename(tree.next_share(si, number), tree.share(si, number)));
  }
  for (auto number : deleted) {
    TRY_DO(disk.remove(tree.share(si, number)));
    // What a kill may have left behind would keep the directory from going away.
    TRY_DO(disk.remove(tree.next_share(si, number)));
  }
  if (replaced.empty() && deleted.empty()) return reply;
  if (!deleted.empty() && disk.remove_directory(tree.bucket(si))) {
    TRY_DO(disk.sync_directory(tree.bucket(si).parent_path()));
  } else {
    TRY_DO(disk.sync_directory(tree.bucket(si)));
  }
  return reply;
}

}  // namespace lafs::grid::storage
