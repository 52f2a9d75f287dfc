// SPDX-License-Identifier: Apache-2.0
#pragma once

// An open file that a coroutine holds. close() must be awaited before it goes away, which a
// destructor cannot do.

#include <cassert>

#include "frontends/fs/filesystem.h"

namespace lafs::ftp {

class OpenFile {
 public:
  explicit OpenFile(fs::Filesystem& files) : files_(files) {}
  ~OpenFile() { assert(!handle_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  Task<Result<>> open(fs::NodeId node, fs::OpenFlags flags);
  // The name's node, made when there is none.
  Task<Result<>> create(fs::NodeId directory, std::string name, std::uint32_t mode,
                        fs::OpenFlags flags, fs::Caller caller);
  Task<> close();

  bool is_open() const { return handle_.has_value(); }
  fs::HandleId id() const { return *handle_; }
  const fs::Attributes& attributes() const { return attributes_; }

 private:
  fs::Filesystem& files_;
  std::optional<fs::HandleId> handle_;
  fs::Attributes attributes_;
  bool referenced_ = false;
};

// The first `length` bytes of one file into another, which is empty.
Task<Result<>> copy_bytes(fs::Filesystem& files, fs::HandleId from, fs::HandleId to,
                          std::uint64_t length);

}  // namespace lafs::ftp
