// SPDX-License-Identifier: Apache-2.0
#pragma once

// The read-test-write of a storage index's mutable shares (spec/storage 4.8), on a pool thread. The
// caller sees to it that nothing else touches this storage index meanwhile.
//
// Small shares are changed in memory, and the caller has the journal (mutable_journal.h) make that
// last. Large ones, and removals, take another way: a share that changes is copied to a file beside
// it, the copy is changed and synced and then takes the share's name. Either way a kill at any step
// leaves every share as it was or as it was to become. Copying costs what the share is long; all
// copies are ready before the first takes its name.

#include "grid/server/journal_records.h"
#include "grid/server/mutable_slot.h"
#include "grid/server/share_facts.h"
#include "grid/server/share_tree.h"

namespace lafs::grid::storage {

struct MutableWriter {
  LeaseSeed node_id{};                // ours
  std::uint32_t expiration = 0;       // of the lease that every touched share gets
  std::uint64_t free = UINT64_MAX;    // bytes of the disk
  std::uint64_t growth = UINT64_MAX;  // bytes that all shares together may become longer
};

// What is to be done, all of it in memory.
struct MutablePlan {
  ReadTestWriteReply reply;
  std::vector<ShareImage> images;       // the shares that change, as they are to be
  std::map<ShareNo, ShareFacts> facts;  // all shares of the storage index, as they are to be
};

// Nothing: the journal is not for this request, see read_test_write_on_disk(). Errors as there.
Result<std::optional<MutablePlan>> plan_read_test_write(Disk& disk, const ShareTree& tree,
                                                        const StorageIndex& si,
                                                        const MutableSecrets& secrets,
                                                        const ReadTestWrite& request,
                                                        const MutableWriter& writer);

// Errc::refused: immutable shares are there; unauthorized: another write enabler; too_large: a
// reply or a share beyond all bounds; no_space, before anything is changed.
Result<ReadTestWriteReply> read_test_write_on_disk(Disk& disk, const ShareTree& tree,
                                                   const StorageIndex& si,
                                                   const MutableSecrets& secrets,
                                                   const ReadTestWrite& request,
                                                   const MutableWriter& writer);

}  // namespace lafs::grid::storage
