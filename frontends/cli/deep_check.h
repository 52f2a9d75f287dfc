// SPDX-License-Identifier: Apache-2.0
#pragma once

// Checks everything below a directory: first the tree is walked, then each thing in it is looked
// at once, several side by side. What has been found healthy is noted (CheckState), so that an
// interrupted run goes on where it was.

#include "frontends/cli/check_state.h"
#include "frontends/cli/health.h"
#include "frontends/cli/places.h"
#include "frontends/cli/progress.h"
#include "grid/walk.h"

namespace lafs::cli {

Task<Result<grid::RepairReport>> check_place(Session& session, Cap cap, grid::CheckOptions options,
                                             bool repair);

class DeepCheck {
 public:
  struct Options {
    grid::CheckOptions check;
    bool repair = false;
    bool restart = false;
    bool quiet = false;
    bool json = false;
  };

  // `session` outlives this.
  DeepCheck(Session& session, Options options);

  // Prints as it goes. An error only when the place itself cannot be read, or when stopped.
  Task<Result<Exit>> run(std::string place);

 private:
  struct Item {
    std::string path;
    Cap cap;
    std::uint64_t weight = 1;
  };
  struct Summary {
    std::uint64_t checked = 0, healthy = 0, unhealthy = 0, unrecoverable = 0, repaired = 0,
                  failed = 0, skipped = 0;
  };

  Task<Result<>> collect(const Place& root);
  Task<Result<>> visit(const grid::Found& found, const Place& root);
  Task<> look_at(Item item, Progress& progress);
  void say(const Item& item, const grid::RepairReport& report);
  void say_error(const std::string& path, const Error& error);
  void print_summary() const;

  Session& session_;
  Options options_;
  ServerNames names_;
  std::vector<Item> items_;
  std::optional<CheckState> state_;  // none: a literal's has no storage index
  Summary summary_;
};

}  // namespace lafs::cli
