// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which server holds which share of which version of one mutable file, as far as was asked
// (spec/mutable 4). Plain: it is told what servers answered and draws the conclusions. Servers are
// numbered by their place in the permuted order.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "grid/mutable/mutable_share.h"

namespace lafs::grid {

using ServerNo = Index<struct ServerNoTag>;

struct SharePlace {
  ServerNo server;
  ShareNo number;
  auto operator<=>(const SharePlace&) const = default;
};

// A share whose header, public key and signature are good; its blocks may still turn out damaged.
struct FoundShare {
  std::shared_ptr<const ShareHeader> header;
  Bytes start;         // what was read of it, from the first byte
  bool whole = false;  // there is nothing behind `start`
};

struct DamagedShare {
  Bytes start;  // its first bytes, at most 75, as they were: what a publish tests for
  std::string reason;
};

class ServerMap {
 public:
  // --- learning
  void found(SharePlace place, FoundShare share);
  // More of a share that was found was read, from its first byte.
  void read_more(SharePlace place, Bytes start);
  // Also when a share that was found proves damaged later.
  void bad(SharePlace place, ByteView start, std::string reason);
  void answered(ServerNo server) { answered_.insert(server); }
  void failed(ServerNo server, Error error) { failed_.insert_or_assign(server, std::move(error)); }

  // --- knowing
  const std::map<SharePlace, FoundShare>& shares() const { return shares_; }
  const std::map<SharePlace, DamagedShare>& bad_shares() const { return bad_; }
  const std::set<ServerNo>& answered() const { return answered_; }
  const std::map<ServerNo, Error>& failed() const { return failed_; }
  bool holds_any(ServerNo server) const;
  bool nothing_found() const { return shares_.empty() && bad_.empty(); }

  using Version = std::shared_ptr<const ShareHeader>;
  // Best first: by seqnum, then by the number of copies of shares, then by root hash.
  // Recoverable: k distinct numbers were found. Versions of one seqnum are those of writers that
  // collided; only one of them can be on most places, and only that one's writer may have been told
  // of success. (Tahoe looks at the root hash at once, and may lose an acknowledged write.)
  std::vector<Version> recoverable() const;
  std::vector<Version> unrecoverable() const;
  Version best() const;  // null when nothing is recoverable
  // A version that cannot be read is newer than the best one that can.
  bool newer_unrecoverable() const;
  // Two versions that can be read have the same number: writers collided.
  bool needs_merge() const;
  std::uint64_t highest_seqnum() const;  // of all good shares; 0 when there are none
  std::vector<SharePlace> places(const ShareHeader& version) const;
  std::set<ShareNo> numbers(const ShareHeader& version) const;

  // "3 of 10 servers failed (...)", for error texts.
  std::string failures() const;

 private:
  std::vector<Version> versions(bool recoverable) const;

  std::map<SharePlace, FoundShare> shares_;
  std::map<SharePlace, DamagedShare> bad_;
  std::set<ServerNo> answered_;
  std::map<ServerNo, Error> failed_;
};

}  // namespace lafs::grid
