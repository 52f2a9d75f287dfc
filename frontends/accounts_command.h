// SPDX-License-Identifier: Apache-2.0
#pragma once

// lafs accounts add, passwd, key, list, rm: who may log in to the SFTP and FTP servers.

#include "frontends/cli/commands.h"

namespace lafs {

void add_accounts_commands(cli::Commands& commands);

}  // namespace lafs
