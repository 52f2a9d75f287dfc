// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/held.h"

#include <algorithm>

namespace lafs::fuse {

void Held::forget(fs::NodeId node, std::uint64_t references) {
  const auto it = references_.find(node.value);
  if (it == references_.end()) return;
  references = std::min(references, it->second);
  it->second -= references;
  if (it->second == 0) references_.erase(it);
  filesystem_.forget(node, references);
}

bool Held::appends(fs::HandleId handle) const {
  const auto it = handles_.find(handle.value);
  return it != handles_.end() && it->second.kind == HandleKind::append;
}

bool Held::closed(fs::HandleId handle) {
  const auto it = handles_.find(handle.value);
  if (it == handles_.end()) return false;
  if (const auto node = open_nodes_.find(it->second.node.value); --node->second == 0)
    open_nodes_.erase(node);
  handles_.erase(it);
  return true;
}

Task<> Held::give_back_all() {
  const auto handles = std::exchange(handles_, {});
  open_nodes_.clear();
  for (const auto& [id, open] : handles) {
    const fs::HandleId handle{id};
    if (open.kind == HandleKind::directory) {
      co_await filesystem_.close_directory(handle);
    } else {
      co_await filesystem_.release(handle);
    }
  }
  const auto references = std::exchange(references_, {});
  for (const auto& [node, count] : references) filesystem_.forget({node}, count);
}

}  // namespace lafs::fuse
