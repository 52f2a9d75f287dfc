// SPDX-License-Identifier: Apache-2.0
#pragma once

// The announcements that are in force: for each service and server the one with the highest number
// (spec/storage 8.4, 8.6). Plain; also reads and writes Tahoe's cache files, so that a start needs
// no introducer.

#include <map>
#include <string>
#include <vector>

#include "grid/introducer/announcement.h"

namespace lafs::grid::introducer {

class Book {
 public:
  enum class Verdict {
    fresh,      // new, and in force from now on
    duplicate,  // known already
    stale,      // older than what is in force, or of the same number with other content
    full,       // too much; see most_entries and most_bytes
  };
  // An introducer that makes up servers must not fill our memory, nor what we keep for a start.
  static constexpr std::size_t most_entries = 10'000, most_bytes = 8u << 20;

  struct Entry {
    Announcement announcement;
    // Missing for what a cache of Tahoe's says: there nobody kept the signature.
    std::optional<SignedAnnouncement> proof;
    std::size_t bytes() const {
      return announcement.content.size() + (proof ? proof->message.size() : 0);
    }
  };

  Verdict add(Announcement announcement, std::optional<SignedAnnouncement> proof);

  std::vector<const Entry*> entries() const;
  std::size_t size() const { return entries_.size(); }

  // private/introducer_<petname>_cache.yaml: a list of {ann, key_s} (spec/storage 8.7), with the
  // signed bytes beside them under keys that Tahoe ignores. We write an entry a line, as JSON.
  std::string to_yaml() const;
  // Entries that cannot be read are left out; Errc::bad_config when it is no such file at all.
  static Result<Book> from_yaml(const std::string& text, const std::string& file);

 private:
  std::size_t bytes_ = 0;
  std::map<std::pair<std::string, std::string>, Entry> entries_;  // by service and server
};

}  // namespace lafs::grid::introducer
