// SPDX-License-Identifier: Apache-2.0
#include "cache/segments.h"

namespace lafs::cache {

Segments::Data Segments::find(const Key& key) {
  auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, it->second.use);
  return it->second.data;
}

void Segments::keep(const Key& key, Data data) {
  if (data->size() > capacity_ || entries_.contains(key)) return;
  bytes_ += data->size();
  uses_.push_front(key);
  entries_.emplace(key, Entry{std::move(data), uses_.begin()});
  while (bytes_ > capacity_) {
    auto oldest = entries_.find(uses_.back());
    bytes_ -= oldest->second.data->size();
    entries_.erase(oldest);
    uses_.pop_back();
  }
}

}  // namespace lafs::cache
