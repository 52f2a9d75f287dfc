// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/upload_homes.h"

#include "grid/immutable/shielded.h"

namespace lafs::grid {

namespace {

// The same after a restart, so that what an interrupted upload has left can be gone on with;
// another one for every server, which must not be able to pass for us elsewhere.
storage::UploadSecret upload_secret(const Secret32& node_secret, const StorageIndex& si,
                                    const LeaseSeed& server) {
  Bytes of(si.bytes.begin(), si.bytes.end());
  append(of, server);
  return storage::UploadSecret(
      tagged_pair_hash("lafs_immutable_upload_secret_v1", node_secret.view(), of));
}

// Shares that were found keep their lease; a failure is the next renewal's business.
Task<> renew_lease(std::shared_ptr<storage::Server> server, StorageIndex si, LeaseSecrets lease) {
  (void)co_await within(std::chrono::seconds(15), "renewing a lease", server->add_lease(si, lease));
}

Task<> list_shares(std::shared_ptr<storage::Server> server, StorageIndex si,
                   std::optional<Result<std::set<ShareNo>>>& out) {
  out = co_await server->list(storage::ShareKind::immutable, si);
}

}  // namespace

UploadHomes::UploadHomes(asio::any_io_executor executor, const UploadContext& context,
                         StorageIndex si, std::uint64_t share_size, Bytes header,
                         std::map<std::string, std::set<ShareNo>> distrusted)
    : executor_(executor),
      context_(context),
      si_(si),
      share_size_(share_size),
      header_(std::move(header)),
      distrusted_(std::move(distrusted)),
      plan_(context.encoding, share_size),
      answers_(executor) {
  const auto now = std::chrono::system_clock::now();
  for (const auto* known : context.roster.permuted(si)) {
    if (known->takes_new_files(now)) order_.push_back(*known);
  }
}

Task<Result<>> UploadHomes::find() {
  if (order_.empty()) co_return std::unexpected(plan_.complaint());
  // The first 2n servers, and further ones only when those do not suffice.
  while (homes_.size() < order_.size() && (homes_.empty() || !plan_.happy())) {
    co_await ask_next();
    co_await allocate();
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "upload");
  }
  if (!plan_.happy()) co_return std::unexpected(plan_.complaint());
  co_return Result<>{};
}

Task<bool> UploadHomes::find_more() {
  const auto before = plan_.to_send().size();
  co_await allocate();
  bool stop = co_await stop_requested();
  while (plan_.to_send().size() == before && homes_.size() < order_.size() && !stop) {
    co_await ask_next();
    co_await allocate();
    stop = co_await stop_requested();
  }
  co_return plan_.to_send().size() > before;
}

Task<> UploadHomes::ask_next() {
  const auto first = homes_.size();
  const auto last = std::min<std::size_t>(order_.size(), first + 2 * context_.encoding.n);
  for (auto i = first; i < last; ++i) {
    const auto& seed = order_[i].lease_seed;
    homes_.push_back({order_[i], lease_secrets(context_.lease_secret, si_, seed),
                      upload_secret(context_.lease_secret, si_, seed)});
    plan_.add_server(order_[i].name());
    const auto bad = distrusted_.find(order_[i].id);
    if (bad == distrusted_.end()) continue;
    for (auto share : bad->second) plan_.distrust(i, share);
  }
  co_await survey(first);
}

// Asks the servers from `first` on what they have and how much they take.
Task<> UploadHomes::survey(ServerNo first) {
  TaskGroup asking(executor_);
  unanswered_ = homes_.size() - first;
  good_answers_ = 0;
  for (auto i = first; i < homes_.size(); ++i) asking.spawn(ask_one(i));
  const auto begin = Clock::now();
  auto deadline = begin + context_.limits.survey;
  const auto enough = std::max<std::uint64_t>(1, context_.encoding.happy);
  bool hurried = false;
  while (unanswered_ > 0 && Clock::now() < deadline) {
    if (!hurried && good_answers_ >= enough) {
      hurried = true;
      const auto now = Clock::now();
      deadline = std::min(deadline, now + std::max(context_.limits.stragglers, 2 * (now - begin)));
    }
    co_await answers_.wait(deadline);
    const bool stop = co_await stop_requested();
    if (stop) break;
  }
  survey_over_ = unanswered_ > 0;
  asking.cancel();
  co_await asking.join();
  survey_over_ = false;
}

Task<> UploadHomes::ask_one(ServerNo i) {
  const auto server = homes_[i].known.server;
  std::optional<Result<std::set<ShareNo>>> shares;
  TaskGroup listing(executor_);
  listing.spawn(list_shares(server, si_, shares));
  auto version = co_await server->version();
  co_await listing.join();
  --unanswered_;
  answers_.notify();
  // An answer that our own impatience cut short is no failure of the server's.
  if (survey_over_ && (!version || !shares || !*shares)) {
    plan_.failed(i, Error{Errc::timed_out, {}});
    co_return;
  }
  if (!version) {
    plan_.failed(i, version.error());
  } else if (!shares || !*shares) {
    plan_.failed(i, shares ? shares->error() : Error{Errc::cancelled, {}});
  } else {
    plan_.answered(i, version->max_immutable_share_size, std::move(**shares));
    if (version->max_immutable_share_size >= share_size_) ++good_answers_;
  }
}

Task<> UploadHomes::allocate() {
  for (auto asks = plan_.next_round(); !asks.empty(); asks = plan_.next_round()) {
    TaskGroup asking(executor_);
    for (auto& [server, shares] : asks) asking.spawn(allocate_on(server, shares));
    // An abort that overtook the request would leave what the server grants after it.
    co_await join_with_grace(asking, std::chrono::seconds(2));
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
}

Task<> UploadHomes::allocate_on(ServerNo i, std::set<ShareNo> shares) {
  auto& home = homes_[i];
  home.asked_for_space = true;
  auto reply = co_await within(
      context_.limits.allocate, "allocating shares",
      home.known.server->allocate(si_, shares, share_size_, home.lease, home.secret));
  if (reply) {
    co_await take_up(i, shares, *reply);
    plan_.allocated(i, shares, *reply);
    co_return;
  }
  plan_.failed(i, reply.error());
  // It may have granted them all the same.
  for (auto share : shares) doubtful_.emplace_back(i, share);
}

// Shares that were neither granted nor are there may be half-written ones of an earlier attempt of
// ours: then the server takes their first bytes again, and says what is missing.
Task<> UploadHomes::take_up(ServerNo i, const std::set<ShareNo>& asked,
                            storage::Allocation& answer) {
  const auto& home = homes_[i];
  for (auto share : asked) {
    if (answer.allocated.contains(share) || answer.already_have.contains(share)) continue;
    const auto what = "going on with share " + std::to_string(share.value);
    auto progress = co_await within(context_.limits.allocate, what,
                                    home.known.server->write(si_, share, home.secret, 0, header_));
    if (!progress) {
      // No upload of ours, or of none at all: there is no room.
      if (progress.error().code != Errc::conflict) continue;
      // Ours, and of another size or content: made anew.
      co_await abort_share(home.known.server, si_, share, home.secret);
      continue;
    }
    if (progress->complete) {
      answer.already_have.insert(share);
      continue;
    }
    answer.allocated.insert(share);
    auto& present = written_[{i, share}];
    present.add({0, share_size_});
    for (auto gap : progress->required) present.remove(gap);
  }
}

RangeSet UploadHomes::written(Grant grant) const {
  const auto it = written_.find(grant);
  return it == written_.end() ? RangeSet() : it->second;
}

void UploadHomes::tidy(TaskGroup& background) {
  for (ServerNo i = 0; i < homes_.size(); ++i) {
    const auto& home = homes_[i];
    if (home.asked_for_space || plan_.existing(i).empty()) continue;
    background.spawn(renew_lease(home.known.server, si_, home.lease));
  }
  auto unused = plan_.surplus();
  unused.insert(unused.end(), doubtful_.begin(), doubtful_.end());
  for (auto [server, share] : unused) {
    const auto& home = homes_[server];
    background.spawn(abort_share(home.known.server, si_, share, home.secret));
  }
}

Task<> UploadHomes::give_back(std::set<Grant> kept) {
  TaskGroup aborting(executor_);
  auto all = plan_.surplus();
  for (auto& [share, server] : plan_.to_send()) all.emplace_back(server, share);
  all.insert(all.end(), doubtful_.begin(), doubtful_.end());
  for (auto [server, share] : all) {
    if (!kept.emplace(server, share).second) continue;
    const auto& home = homes_[server];
    aborting.spawn(abort_share(home.known.server, si_, share, home.secret));
  }
  co_await aborting.join();
}

}  // namespace lafs::grid
