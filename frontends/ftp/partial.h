// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where an upload lives before it is whole: a file beside the one it will be, under a name that no
// FTP command takes and no View lists (frontends/fs/unfinished.h), renamed at the end. What a cut
// connection leaves there is what REST and APPE go on with. Plain.

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "frontends/fs/types.h"

namespace lafs::ftp {

// Whether any part of the path is such a name.
bool names_partial(std::string_view path);
// The n-th place for uploads to `name`, at most 255 bytes long. Others than the first are for
// uploads beside one that still runs.
std::string partial_name(std::string_view name, unsigned n);

// The uploads that run now, over all sessions: nobody else may write their places.
class Uploads {
 public:
  class [[nodiscard]] Claim {
   public:
    Claim(Claim&& other) noexcept
        : all_(std::exchange(other.all_, nullptr)), at_(other.at_), first_(other.first_) {}
    Claim& operator=(Claim&&) = delete;
    ~Claim() {
      if (all_) all_->running_.erase(at_);
    }
    const std::string& name() const { return at_->second; }
    bool first() const { return first_; }

   private:
    friend class Uploads;
    using At = std::set<std::pair<std::pair<const void*, std::uint64_t>, std::string>>::iterator;
    Claim(Uploads* all, At at, bool first) : all_(all), at_(at), first_(first) {}
    Uploads* all_;
    At at_;
    bool first_;
  };

  // A free place for `name` in `directory` of a filesystem, which is known by its lock table: views
  // of it are many.
  Claim claim(const void* locks, fs::NodeId directory, std::string_view name);

 private:
  std::set<std::pair<std::pair<const void*, std::uint64_t>, std::string>> running_;
};

}  // namespace lafs::ftp
