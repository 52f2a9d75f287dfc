// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whole trees between here and the grid, and within the grid. Files travel side by side, bounded by
// how much they weigh; directories are walked one after the other, so that the work in flight does
// not grow with the tree. What fails is reported, and the rest goes on.

#include <filesystem>
#include <functional>

#include "frontends/cli/transfer.h"

namespace lafs::cli {

class Copier {
 public:
  // `report` is told every failure, as it happens.
  Copier(Session& session, Progress& progress, std::function<void(const Error&)> report);

  // Files, directories and symbolic links; into what is there. The place's own name is used.
  Task<> to_grid(std::filesystem::path from, Place to);
  Task<> to_local(Place from, std::filesystem::path to);
  // Immutable files are linked, not copied; directories are made anew.
  Task<> within_grid(Place from, Place to);
  // Waits for what is on its way. Call before destruction.
  Task<> finish() { return running_.join(); }

  std::uint64_t files() const { return files_; }
  // Files that were there already: the same cap, or the same size and time of change.
  std::uint64_t skipped() const { return skipped_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  using Permit = Limiter::Permit;

  Task<> directory_to_grid(std::filesystem::path from, Place to);
  Task<> directory_to_local(Place from, std::filesystem::path to, std::vector<Cap> above);
  Task<> entry_to_local(Place from, std::filesystem::path to, std::vector<Cap> above);
  Task<> directory_within_grid(Place from, Place to, std::vector<Cap> above);
  Task<> entry_within_grid(Place from, Place to, std::vector<Cap> above);

  Task<> put_file(Permit permit, LocalSource from, Place to);
  Task<> get_file(Permit permit, Cap cap, std::filesystem::path to, cache::PosixFacts facts,
                  std::string text);
  Task<> link_file(Permit permit, Place from, Place to);

  Task<Permit> permit_for(std::uint64_t bytes);
  // False, and reported, when the result is an error.
  bool went_well(Result<> result);
  void done(std::uint64_t bytes);

  Session& session_;
  Progress& progress_;
  std::function<void(const Error&)> report_;
  Limiter weight_;
  TaskGroup running_;
  std::uint64_t files_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace lafs::cli
