// SPDX-License-Identifier: Apache-2.0
#include "grid/walk.h"

#include <boost/asio/this_coro.hpp>
#include <deque>

namespace lafs::grid {

bool SeenIndexes::add(const StorageIndex& index) {
  if (2 * (count_ + 1) > slots_.size()) {
    const auto old = std::move(slots_);
    slots_.assign(std::max<std::size_t>(1024, 2 * old.size()), 0);
    count_ = 0;
    for (const auto key : old) {
      if (key != 0) put(key);
    }
  }
  const auto key = get_be<std::uint64_t>(index.bytes.data());
  return put(key == 0 ? 1 : key);
}

bool SeenIndexes::put(std::uint64_t key) {
  // Storage indexes are hashes: any bits of them are as good as a hash.
  for (auto at = key % slots_.size();; at = (at + 1) % slots_.size()) {
    if (slots_[at] == key) return false;
    if (slots_[at] != 0) continue;
    slots_[at] = key;
    ++count_;
    return true;
  }
}

namespace {

// A directory on its way through the walk.
struct Step {
  std::string path;
  Cap cap;
  std::optional<Child> child;
  Result<Listing> listing{};
  std::size_t next = 0;  // the child to look at
};

struct Walk {
  Lister list;
  SeenIndexes seen;
  std::deque<std::unique_ptr<Step>> listed;   // to be visited
  std::vector<std::unique_ptr<Step>> open{};  // visited, with children left to look at
};

Task<> fetch(Walk& w, std::unique_ptr<Step> step) {
  step->listing = co_await w.list(step->cap);
  w.listed.push_back(std::move(step));
}

bool fresh(Walk& w, const Cap& cap) {
  const auto index = cap.storage_index();
  return !index || w.seen.add(*index);
}

Task<Result<>> visit_directory(Walk& w, const Visitor& visit) {
  auto step = std::move(w.listed.front());
  w.listed.pop_front();
  Found found{step->path, step->cap, step->child ? &*step->child : nullptr, nullptr, {}};
  if (step->listing) {
    found.listing = &*step->listing;
  } else {
    found.error = step->listing.error();
  }
  CO_TRY_DO(co_await visit(found));
  if (step->listing && !step->listing->empty()) w.open.push_back(std::move(step));
  co_return Result<>();
}

// Looks at the next child of the directory that was opened last: the deepest, mostly.
Task<Result<>> look_at_child(Walk& w, TaskGroup& group, const Visitor& visit) {
  auto& step = *w.open.back();
  auto child = step.listing->child(step.next++);
  const bool last = step.next == step.listing->size();
  auto path = step.path.empty() ? child.name : step.path + "/" + child.name;
  if (last) w.open.pop_back();
  if (!fresh(w, child.cap)) co_return Result<>();
  if (child.cap.is_directory() && !child.cap.is_verifier()) {
    auto below = std::make_unique<Step>(Step{std::move(path), child.cap, std::nullopt});
    below->child = std::move(child);
    group.spawn(fetch(w, std::move(below)));
    co_return Result<>();
  }
  const Found found{std::move(path), child.cap, &child, nullptr, {}};
  co_return co_await visit(found);
}

Task<Result<>> walk_all(Walk& w, TaskGroup& group, const Visitor& visit, std::size_t at_once) {
  while (true) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "walking a tree");
    if (!w.listed.empty()) {
      CO_TRY_DO(co_await visit_directory(w, visit));
    } else if (!w.open.empty() && group.running() < at_once) {
      CO_TRY_DO(co_await look_at_child(w, group, visit));
    } else if (group.running() > 0) {
      co_await group.wait_one();
    } else {
      co_return Result<>();
    }
  }
}

}  // namespace

Task<Result<>> walk(Lister list, Cap root, Visitor visit, WalkOptions options) {
  Walk w{std::move(list), {}, {}};
  TaskGroup group(co_await asio::this_coro::executor);
  (void)fresh(w, root);
  Result<> outcome;
  if (root.is_directory() && !root.is_verifier()) {
    auto first = std::make_unique<Step>(Step{"", std::move(root), std::nullopt});
    group.spawn(fetch(w, std::move(first)));
    outcome = co_await walk_all(w, group, visit, std::max<std::size_t>(1, options.at_once));
  } else {
    const Found found{"", std::move(root), nullptr, nullptr, {}};
    outcome = co_await visit(found);
  }
  if (!outcome) group.cancel();
  co_await group.join();
  co_return outcome;
}

}  // namespace lafs::grid
