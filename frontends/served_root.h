// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the file servers (SFTP, FTP) ask of the drive for those who log in.

#include "frontends/drive.h"
#include "frontends/fs/accounts.h"
#include "grid/node_dir.h"

namespace CLI {
class App;
}

namespace lafs {

// "journal" or "grid", empty for what [files] durability of tahoe.cfg says (else journal): what
// close and fsync wait for. bad_argument, bad_config.
Result<fs::GridFs::Durability> served_durability(const std::string& asked,
                                                 const grid::NodeDir& node);

void add_durability_option(CLI::App& command, std::string& into);

// `drive` outlives the view.
RootOptions served_root(Drive& drive, const fs::Account& account,
                        fs::GridFs::Durability durability);

}  // namespace lafs
