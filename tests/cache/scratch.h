// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory of its own for one test, gone with it.

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace lafs::cache {

class Scratch {
 public:
  Scratch() {
    path_ = (std::filesystem::temp_directory_path() / "lafs-cache-XXXXXX").string();
    if (!::mkdtemp(path_.data())) path_.clear();
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace lafs::cache
