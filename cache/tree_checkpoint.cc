// SPDX-License-Identifier: Apache-2.0

// Tree: to the store, from it, and after damage.

#include "cache/tree.h"
#include "grid/crypto/hash.h"

namespace lafs::cache {

namespace {

Bytes node_key(InodeNo number) {
  Bytes key{'n'};
  append_be<std::uint64_t>(key, number);
  return key;
}

// Names are not to be read from the keys, which are not sealed.
Bytes name_key(char table, InodeNo directory, const std::string& name) {
  Bytes key{static_cast<std::uint8_t>(table)};
  append_be<std::uint64_t>(key, directory);
  append(key, ByteView(grid::sha256(as_bytes(name))).first(16));
  return key;
}

}  // namespace

std::vector<Store::Change> Tree::take_changes() {
  std::vector<Store::Change> out;
  out.reserve(changed_nodes_.size() + changed_names_.size() + changed_numbers_.size());
  for (auto number : changed_nodes_) {
    const auto* inode = find(number);
    std::optional<Bytes> value;
    if (inode && inode->kept) {
      Record record{node_op(*inode)};
      if (inode->content) record.push_back(PutContent{number, *inode->content});
      value = encode(record);
    }
    out.push_back({node_key(number), std::move(value)});
  }
  for (const auto& [directory, name] : changed_names_) {
    const auto* change = pending(directory, name);
    std::optional<Bytes> value;
    if (change) value = encode({PutPending{directory, name, *change}});
    out.push_back({name_key('p', directory, name), std::move(value)});
  }
  for (const auto& key : changed_numbers_) {
    auto it = numbers_.find(key);
    std::optional<Bytes> value;
    if (it != numbers_.end()) value = encode({Numbered{key.directory, key.name, it->second}});
    out.push_back({name_key('i', key.directory, key.name), std::move(value)});
  }
  changed_nodes_.clear();
  changed_names_.clear();
  changed_numbers_.clear();
  return out;
}

void Tree::mend(std::vector<std::string>& warnings) {
  Record record;
  for (const auto& [directory, names] : pending_) {
    const bool lost = !find(directory);
    for (const auto& [name, change] : names) {
      if (!lost && (change.node == 0 || find(change.node))) continue;
      warnings.push_back("the change of \"" + name + "\" cannot be finished: what it was is lost");
      record.push_back(Settled{directory, name});
    }
  }
  apply(record);
  record.clear();
  for (const auto& [number, inode] : inodes_) {
    if (!inode->content) continue;
    const auto* name = pending(inode->parent, inode->name);
    if (name && name->node == number) continue;
    // Written, but the record of its name is lost.
    auto again = put(*inode, inode->cap, false);
    record.insert(record.end(), again.begin(), again.end());
  }
  apply(record);
}

Result<> Tree::restore(ByteView value) {
  TRY(record, decode(value));
  restoring_ = true;
  apply(record);
  restoring_ = false;
  return {};
}

}  // namespace lafs::cache
