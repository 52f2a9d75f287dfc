// SPDX-License-Identifier: Apache-2.0
#pragma once

// lafs mount, lafs umount: a directory of the grid as a directory of this machine.

#include "frontends/cli/commands.h"

namespace lafs {

void add_mount_commands(cli::Commands& commands);

}  // namespace lafs
