// SPDX-License-Identifier: Apache-2.0
#pragma once

// lafs serve sftp, lafs sftp-server.

#include "frontends/cli/commands.h"

namespace lafs {

void add_sftp_commands(cli::Commands& commands);

}  // namespace lafs
