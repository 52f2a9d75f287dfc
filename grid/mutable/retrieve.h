// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fetches and decodes one version whose shares are on a map (spec/mutable 7.2). Every hash is
// checked; a share that fails is replaced by another one and reported to its server.

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

// Damaged shares are marked in `map`. Errc::not_enough_shares when fewer than k are good.
Task<Result<Bytes>> retrieve(const Slot& slot, ServerMap& map, ServerMap::Version version,
                             Key16 read_key);

// The private key from any share on the map. Errc::corrupt when no share has it.
Task<Result<RsaPrivateKey>> retrieve_private_key(const Slot& slot, const ServerMap& map,
                                                 Key16 write_key);

}  // namespace lafs::grid
