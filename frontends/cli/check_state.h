// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a deep check has found healthy so far, in a file of the node directory, so that an
// interrupted run goes on where it was (docs/formats/check-state.md). What is noted cannot be read
// without the node's secret. Blocking; a write is a few bytes.

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "grid/base/result.h"
#include "grid/caps/storage_index.h"
#include "grid/crypto/secret.h"

namespace lafs::cli {

class CheckState {
 public:
  using Mark = std::array<std::uint8_t, 16>;

  // Goes on with the file of this kind of check ("verify-repair") of `root`, or begins one: also
  // when `restart`, and when the last run was more than a week ago.
  static Result<CheckState> open(const std::filesystem::path& node, const grid::Secret32& secret,
                                 const grid::StorageIndex& root, std::string_view kind,
                                 bool restart);

  bool has(const grid::StorageIndex& index) const;  // of runs before this one
  void add(const grid::StorageIndex& index);
  // The run has come to its end: the next one begins anew.
  void finish();

  static Mark mark_of(const grid::Secret32& secret, const grid::StorageIndex& index);
  // Sorted, each once. Lines that are no marks are ignored, and so is a last one without its end;
  // nothing when the first line is not ours.
  static std::vector<Mark> parse(std::string_view text);
  static std::string line_of(const Mark& mark);
  static constexpr std::string_view first_line = "lafs check state 1\n";

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  grid::Secret32 secret_;
  std::filesystem::path path_;
  std::vector<Mark> before_;
  std::unique_ptr<std::FILE, CloseFile> file_;
};

}  // namespace lafs::cli
