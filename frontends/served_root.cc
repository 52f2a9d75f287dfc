// SPDX-License-Identifier: Apache-2.0
#include "frontends/served_root.h"

#include <CLI/CLI.hpp>

namespace lafs {

using Durability = fs::GridFs::Durability;

Result<Durability> served_durability(const std::string& asked, const grid::NodeDir& node) {
  TRY(configured, node.config().text("files", "durability"));
  const auto word = asked.empty() ? configured.value_or("journal") : asked;
  if (word == "journal") return Durability::journal;
  if (word == "grid") return Durability::grid;
  if (!asked.empty()) return fail(Errc::bad_argument, "durability is journal or grid, not " + word);
  return fail(Errc::bad_config, node.config().where("files", "durability") +
                                    ": durability is journal or grid, not " + word);
}

void add_durability_option(CLI::App& command, std::string& into) {
  command
      .add_option("--durability", into,
                  "What close and fsync wait for: journal (this machine's disk) or grid (default: "
                  "[files] durability in tahoe.cfg, else journal)")
      ->type_name("WORD");
}

RootOptions served_root(Drive& drive, const fs::Account& account, Durability durability) {
  RootOptions out;
  // Uploads leave the machine to whoever is at work.
  out.view.used = [&drive] {
    if (auto* write_back = drive.write_back()) write_back->used(1);
  };
  out.view.read_only = account.read_only;
  out.quota = account.quota;
  if (durability == Durability::grid) out.close = out.fsync = durability;
  return out;
}

}  // namespace lafs
