// SPDX-License-Identifier: Apache-2.0
#pragma once

// Decides which names the kernel should forget, so that what it holds of us stays bounded: it never
// gives references back by itself while it has memory, and one walk through a million files would
// leave a million nodes here. Oldest first; files only, for a directory may be somebody's own.
// Pure.

#include <deque>
#include <optional>
#include <string>

#include "frontends/fs/types.h"

namespace lafs::fuse {

class Trimmer {
 public:
  explicit Trimmer(std::size_t most_held) : most_held_(most_held) {}

  struct Name {
    fs::NodeId node, parent;
    std::string name;
  };
  // The kernel was told of a name.
  void told(const fs::Attributes& attributes, fs::NodeId parent, std::string name) {
    if (attributes.kind == fs::Kind::directory) return;
    names_.push_back({attributes.id, parent, std::move(name)});
  }
  // A name to take back, as long as the kernel holds more than it should. Ask until there is none.
  std::optional<Name> next(std::size_t held) {
    // Names that it forgot by itself are here as well.
    const bool too_many = held > most_held_ + asked_ || names_.size() > 2 * most_held_;
    if (!too_many || names_.empty()) return {};
    auto oldest = std::move(names_.front());
    names_.pop_front();
    ++asked_;
    return oldest;
  }
  // The kernel gave something back.
  void forgotten() {
    if (asked_ > 0) --asked_;
  }

 private:
  std::size_t most_held_;
  std::size_t asked_ = 0;  // and not given back yet
  std::deque<Name> names_;
};

}  // namespace lafs::fuse
