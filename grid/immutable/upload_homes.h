// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds servers for the shares of one upload (spec/immutable 10.3): asks what they have, gets room
// for what is missing, and cleans up what is not used in the end. UploadPlan decides, this does.

#include "grid/immutable/upload_context.h"
#include "grid/immutable/upload_plan.h"

namespace lafs::grid {

class UploadHomes {
 public:
  struct Home {
    storage::KnownServer known;
    LeaseSecrets lease;
    storage::UploadSecret secret;
    bool asked_for_space = false;
  };
  using Grant = std::pair<ServerNo, ShareNo>;

  // `header`: the first bytes of every share. `distrusted`: server ids and shares known to be bad.
  // `context` outlives this.
  UploadHomes(asio::any_io_executor executor, const UploadContext& context, StorageIndex si,
              std::uint64_t share_size, Bytes header,
              std::map<std::string, std::set<ShareNo>> distrusted);

  // Until the plan is happy or nobody is left to ask; then the plan's complaint.
  Task<Result<>> find();
  // Homes for shares that have lost theirs. False when nothing was found.
  Task<bool> find_more();

  UploadPlan& plan() { return plan_; }
  const UploadPlan& plan() const { return plan_; }
  std::size_t asked() const { return homes_.size(); }
  const Home& home(ServerNo server) const { return homes_[server]; }
  // Whether this plan, with all servers that were not asked yet, can still do.
  bool hopeful() const { return plan_.could_be_happy(order_.size() - homes_.size()); }
  // What an attempt that was interrupted has left of a granted share.
  RangeSet written(Grant grant) const;

  // Servers whose shares were found get their lease renewed; grants without use are given back.
  void tidy(TaskGroup& background);
  // Every grant that is not in `kept`.
  Task<> give_back(std::set<Grant> kept);

 private:
  Task<> ask_next();
  Task<> survey(ServerNo first);
  Task<> ask_one(ServerNo i);
  Task<> allocate();
  Task<> allocate_on(ServerNo i, std::set<ShareNo> shares);
  Task<> take_up(ServerNo i, const std::set<ShareNo>& asked, storage::Allocation& answer);

  asio::any_io_executor executor_;
  const UploadContext& context_;
  StorageIndex si_;
  std::uint64_t share_size_;
  Bytes header_;
  std::map<std::string, std::set<ShareNo>> distrusted_;
  UploadPlan plan_;
  std::vector<storage::KnownServer> order_;  // all of the roster
  std::vector<Home> homes_;                  // those asked, in the same order
  std::vector<Grant> doubtful_;              // allocations whose answer got lost
  std::map<Grant, RangeSet> written_;
  Signal answers_;
  std::size_t unanswered_ = 0;
  std::size_t good_answers_ = 0;
  bool survey_over_ = false;
};

}  // namespace lafs::grid
