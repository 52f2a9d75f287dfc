// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fetches and decodes one version whose shares are on a map (spec/mutable 7.2). Every hash is
// checked; a share that fails is replaced by another one and reported to its server.

#include "grid/base/throttle.h"
#include "grid/mutable/encoding.h"
#include "grid/mutable/slot.h"

namespace lafs::grid {

// Which share to fetch next. Plain.
class ShareQueue {
 public:
  // Shares that need no further request first, then the lowest numbers: the first k are the
  // contents themselves.
  ShareQueue(const ServerMap& map, const ShareHeader& version);

  // Nothing: there is none left whose number is neither good nor under way. With `hedge`, numbers
  // under way count as wanted too.
  std::optional<SharePlace> next(bool hedge = false);
  void good(SharePlace place);
  void failed(SharePlace place);
  const std::set<ShareNo>& good_numbers() const { return good_; }

 private:
  std::vector<SharePlace> waiting_;
  std::map<ShareNo, int> under_way_;
  std::set<ShareNo> good_;
};

// Damaged shares are marked in `map`, and what was read of others is kept there, so that a private
// key behind the data is at hand. `salts`: gets those of all segments. Errc::not_enough_shares when
// fewer than k are good.
Task<Result<Bytes>> retrieve(const Slot& slot, ServerMap& map, ServerMap::Version version,
                             Key16 read_key, std::vector<Salt>* salts = nullptr);

// Only some segments of an MDMF version, and of its shares only what proves them.
Task<Result<Bytes>> retrieve_segments(const Slot& slot, ServerMap& map, ServerMap::Version version,
                                      Key16 read_key, SegmentRange segments);

// The leaves of every share of the version, by number; for a change in place, which needs all n.
Task<Result<std::vector<std::vector<Hash32>>>> retrieve_leaves(const Slot& slot, ServerMap& map,
                                                               ServerMap::Version version);

// Reads all of a share that was found, and proves every byte that the cap can prove: blocks and
// hashes, and with the write key the private key. Errc::corrupt when it is damaged.
Task<Result<>> verify_share(const Slot& slot, SharePlace place, FoundShare found,
                            std::optional<Key16> write_key, std::shared_ptr<Throttle> throttle);

// The private key from any share on the map. Errc::corrupt when no share has it.
Task<Result<RsaPrivateKey>> retrieve_private_key(const Slot& slot, const ServerMap& map,
                                                 Key16 write_key);

}  // namespace lafs::grid
