// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/usage.h"

#include <algorithm>

#include "grid/base/log.h"

namespace lafs::fs {

namespace {

constexpr std::size_t page = 1000;
// Directories of a grid can contain themselves: the walk ends somewhere.
constexpr unsigned deepest = 100;
constexpr std::uint64_t most_entries = 10'000'000;
// A count may take this part of the time.
constexpr int seldom = 20;

}  // namespace

Usage::Usage(asio::any_io_executor executor, std::shared_ptr<Filesystem> files, Options options)
    : files_(std::move(files)), options_(options), first_count_(executor), tasks_(executor) {}

Task<> Usage::known() {
  if (!counting_ && !closing_ && Clock::now() >= count_at_) {
    counting_ = true;
    began_ = Clock::now();
    grown_ = shrunk_ = 0;
    tasks_.spawn(count());
  }
  const auto until = began_ + options_.patience;
  while (!counted_ && counting_ && Clock::now() < until) {
    co_await first_count_.wait(until);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
}

Task<> Usage::count() {
  auto total = co_await bytes_below_root();
  counting_ = false;
  const auto now = Clock::now();
  count_at_ = now + std::max<Duration>(options_.count_again, (now - began_) * seldom);
  if (total) {
    // Of what changed meanwhile the walk has seen some.
    bytes_ = std::clamp(bytes_, *total - std::min(*total, shrunk_), *total + grown_);
  } else if (total.error().code != Errc::cancelled) {
    log::warning("counting the files of an account with a quota: " + total.error().message());
  }
  counted_ = true;
  first_count_.notify();
}

Task<Result<std::uint64_t>> Usage::bytes_below_root() {
  struct Directory {
    NodeId node;
    unsigned depth;
  };
  std::vector<Directory> open{{root_node, 0}};
  std::uint64_t total = 0, entries_seen = 0;
  Result<> outcome;
  while (outcome && !open.empty()) {
    const auto [node, depth] = open.back();
    open.pop_back();
    auto handle = co_await files_->open_directory(node);
    std::uint64_t after = 0;
    for (bool more = handle.has_value(); more;) {
      auto entries = co_await files_->read_directory(*handle, after, page, true);
      if (!entries || entries->empty()) {
        if (!entries) outcome = std::unexpected(std::move(entries.error()));
        break;
      }
      after = entries->back().cookie;
      entries_seen += entries->size();
      for (const auto& entry : *entries) {
        const auto& found = entry.attributes;
        if (found.kind == Kind::directory && depth < deepest) {
          open.push_back({found.id, depth + 1});
          continue;
        }
        if (found.kind == Kind::file) total += found.size;
        files_->forget(found.id, 1);
      }
      more = entries_seen < most_entries;
      if (!more) log::warning("an account with a quota has more files than are counted");
      const bool stop = co_await stop_requested();
      if (!stop) continue;
      outcome = fail(Errc::cancelled);
      break;
    }
    if (handle) co_await files_->close_directory(*handle);
    // A directory that is gone by now, or that nobody can read, holds nothing that counts.
    if (node != root_node) files_->forget(node, 1);
    if (entries_seen >= most_entries) break;
  }
  for (const auto& directory : open)
    if (directory.node != root_node) files_->forget(directory.node, 1);
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return total;
}

Result<> Usage::may_add(std::uint64_t more, std::uint64_t limit) const {
  if (more == 0 || (bytes_ <= limit && more <= limit - bytes_)) return {};
  return fail(Errc::too_large,
              "the account's quota of " + std::to_string(limit) + " bytes would be exceeded");
}

Result<> Usage::resize(NodeId node, std::uint64_t from, std::uint64_t to, std::uint64_t limit) {
  if (to > from) {
    TRY_DO(may_add(to - from, limit));
    bytes_ += to - from;
    grown_ += to - from;
  } else {
    bytes_ -= std::min(bytes_, from - to);
    shrunk_ += from - to;
  }
  const auto it = writing_.find(node.value);
  if (it != writing_.end()) it->second.size = to;
  return {};
}

void Usage::removed(NodeId node, std::uint64_t size) {
  const auto it = writing_.find(node.value);
  if (it != writing_.end()) {
    size = it->second.size;
    writing_.erase(it);  // what is still written to it goes with it
  }
  bytes_ -= std::min(bytes_, size);
  shrunk_ += size;
}

void Usage::opened(NodeId node, std::uint64_t size) {
  auto& writing = writing_[node.value];
  if (writing.handles++ == 0) writing.size = size;
}

void Usage::closed(NodeId node) {
  const auto it = writing_.find(node.value);
  if (it != writing_.end() && --it->second.handles == 0) writing_.erase(it);
}

std::optional<std::uint64_t> Usage::open_size(NodeId node) const {
  const auto it = writing_.find(node.value);
  if (it == writing_.end()) return std::nullopt;
  return it->second.size;
}

Task<> Usage::close() {
  closing_ = true;
  tasks_.cancel();
  co_await tasks_.join();
}

}  // namespace lafs::fs
