// SPDX-License-Identifier: Apache-2.0
#pragma once

// What to write where when a new version is published, and what the answers mean (spec/mutable
// 7.1). Plain: no I/O.
//
// Every copy of a share that the map knows is replaced where it is, on condition that it has not
// changed; numbers that nobody holds go to servers that hold least. Shares whose number the new
// version does not have are deleted once that is written.
// Shares that are of the new version already count as written: a repair adds what is missing.

#include "grid/mutable/servermap.h"
#include "grid/storage/server.h"

namespace lafs::grid {

class PublishPlan {
 public:
  // `takers`: who may be given new shares, in permuted order.
  PublishPlan(const ServerMap& map, const ShareHeader& new_version, std::vector<ServerNo> takers);

  struct Write {
    SharePlace place;
    Bytes expected;  // the share begins with these bytes; empty: there is no such share
  };
  // The writes to start now; later those that make up for failed ones. Empty: nothing to do until
  // more answers arrive.
  std::vector<Write> next();
  // The read vector of every request: (0, read_size). 57 bytes cover both formats' checkstrings.
  static constexpr std::uint64_t read_size = 57;
  void answered(const Write& write, const Result<storage::ReadTestWriteReply>& reply);

  std::size_t under_way() const { return under_way_.size(); }
  // Enough is written that silent servers need not be waited for much longer.
  bool mostly_written() const;
  // Success, or why not. collision: a share was not what the map says, or one turned up that is as
  // new as ours. not_enough_shares, no_servers, no_space: fewer than k shares were written.
  Result<> outcome() const;
  // Success with so few shares written that another writer may have had the same success
  // elsewhere: look again before telling anybody.
  bool doubtful() const;
  // After success: shares whose number the new version does not have. They would keep the old
  // version alive, so they are to be deleted, on condition that they have not changed.
  std::vector<Write> leftovers() const;
  const std::set<SharePlace>& written() const { return written_; }
  // Every share has a place, and every place that is known holds the new version.
  bool complete() const;

 private:
  bool is_ours(ByteView start) const;
  // A share that we did not mean to find: is it as new as ours?
  bool is_surprise(ByteView start) const;
  std::vector<Write> homeless();

  ShareHeader new_version_;
  std::vector<ServerNo> takers_;
  std::map<SharePlace, Bytes> goal_;   // place -> what is expected there
  std::map<SharePlace, Bytes> found_;  // numbers beyond the new n: left alone
  std::set<SharePlace> under_way_;
  std::set<SharePlace> written_;
  std::set<ServerNo> unwilling_;  // failed or refused: no further new shares
  std::vector<std::string> failures_;
  std::set<Errc> failure_codes_;
  bool started_ = false;
  int rounds_ = 0;
  bool surprised_ = false;
  std::string surprise_;
};

}  // namespace lafs::grid
