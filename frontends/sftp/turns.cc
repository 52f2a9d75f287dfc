// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/turns.h"

#include <algorithm>

namespace lafs::sftp {
namespace {

bool is_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

bool related(const Claim::OnPath& x, const Claim::OnPath& y) {
  if ((x.alone && !y.changes) || (y.alone && !x.changes)) return *x.path == *y.path;
  return is_within(*x.path, *y.path) || is_within(*y.path, *x.path);
}

}  // namespace

bool conflict(const Claim& a, const Claim& b) {
  for (const auto& x : a.handles)
    for (const auto& y : b.handles)
      if (x.handle == y.handle && (x.changes || y.changes) && x.begin < y.end && y.begin < x.end)
        return true;
  if (!a.handles.empty() && !b.handles.empty()) return false;
  for (const auto& x : a.paths)
    for (const auto& y : b.paths)
      if ((x.changes || y.changes) && related(x, y)) return true;
  return false;
}

std::string plain_path(std::string_view directory, std::string_view path) {
  std::vector<std::string_view> names;
  const auto walk = [&](std::string_view rest) {
    while (!rest.empty()) {
      const auto name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      if (name == "..") {
        if (!names.empty()) names.pop_back();
      } else if (!name.empty() && name != ".") {
        names.push_back(name);
      }
    }
  };
  if (!path.starts_with('/')) walk(directory);
  walk(path);
  std::string out;
  for (const auto name : names) (out += '/') += name;
  return out.empty() ? "/" : out;
}

Turns::Added Turns::add(Claim claim) {
  Entry entry{next_++, std::move(claim), 0, {}};
  for (auto& earlier : entries_) {
    if (!conflict(earlier.claim, entry.claim)) continue;
    earlier.blocks.push_back(entry.ticket);
    ++entry.blockers;
  }
  entries_.push_back(std::move(entry));
  const auto& added = entries_.back();
  return {added.ticket, added.blockers == 0};
}

std::vector<Turns::Ticket> Turns::done(Ticket ticket) {
  const auto found = std::ranges::find(entries_, ticket, &Entry::ticket);
  if (found == entries_.end()) return {};
  std::vector<Ticket> startable;
  auto later = std::next(found);
  for (const auto blocked : found->blocks) {
    while (later->ticket != blocked) ++later;  // both are in order of arrival
    if (--later->blockers == 0) startable.push_back(blocked);
  }
  entries_.erase(found);
  return startable;
}

}  // namespace lafs::sftp
