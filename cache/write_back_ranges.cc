// SPDX-License-Identifier: Apache-2.0

// WriteBack: ranges of content that are made or taken over rather than written.

#include "cache/write_back.h"

namespace lafs::cache {

namespace {
// Of one journal record. A file in more pieces than that has its zeros written instead.
constexpr std::size_t most_ranges = 20'000;
}  // namespace

// Everything that is known of the content in one record, so that it holds after a crash as well.
Result<> WriteBack::commit_content(Inode& inode, const std::optional<Cap>& source,
                                   const std::optional<Cap>& base) {
  timespec when;
  clock_gettime(CLOCK_REALTIME, &when);
  if (!inode.named()) {
    inode.facts.mtime = inode.facts.ctime = when;
    return {};
  }
  Content now;
  now.staged = Staging::memory_of(*inode.staged);
  now.base = source;
  Record record;
  if (inode.content)
    record.push_back(PutContent{inode.number, std::move(now)});
  else
    record = tree_.start_content(inode, std::move(now), base);
  record.push_back(Truncated{inode.number, inode.staged->size(), when});  // for its time
  TRY_DO(commit(record));
  if (inode.writers > 0) {
    auto [it, is_new] = open_contents_.try_emplace(inode.number);
    it->second.last_write = Clock::now();
    if (is_new) it->second.since = it->second.last_write;
  }
  return {};
}

Result<bool> WriteBack::zero(Inode& inode, std::uint64_t offset, std::uint64_t length,
                             const std::optional<Cap>& base) {
  TRY_DO(stage(inode));
  if (inode.staged->local().ranges().size() > most_ranges) return false;
  if (inode.named() && !inode.content) TRY_DO(truncate(inode, inode.staged->size(), base));
  TRY_DO(inode.staged->zero(offset, length));
  TRY_DO(commit_content(inode, inode.content ? inode.content->base : inode.cap, base));
  trim_later(inode);
  return true;
}

Result<bool> WriteBack::adopt(Inode& inode, const Cap& source, std::uint64_t from,
                              std::uint64_t size, const std::optional<Cap>& base) {
  if (!inode.named()) return false;                        // nobody will bring it to the grid
  if (inode.cap && inode.cap->is_mutable()) return false;  // stays the file it is
  TRY_DO(stage(inode));
  auto& staged = *inode.staged;
  const bool goes_on = from > 0 && inode.content && inode.content->base == source &&
                       staged.local().empty() && staged.size() == from &&
                       staged.inherited_size() == from;
  if (!goes_on && (from > 0 || staged.size() > 0)) return false;
  staged.inherit(size);
  if (auto done = commit_content(inode, source, base); !done) {
    staged.truncate(from);
    return std::unexpected(std::move(done).error());
  }
  return true;
}

}  // namespace lafs::cache
