// SPDX-License-Identifier: Apache-2.0
#pragma once

// lafs serve ftp: directories of the grid over FTP and FTPS.

#include "frontends/cli/commands.h"

namespace lafs {

void add_ftp_command(cli::Commands& commands);

}  // namespace lafs
