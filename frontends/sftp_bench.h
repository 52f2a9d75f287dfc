// SPDX-License-Identifier: Apache-2.0
#pragma once

// `lafs bench sftp`: the SFTP server beside OpenSSH's own, on the same disk and with the same
// cipher, with OpenSSH's sftp and sshfs as clients.

#include "frontends/cli/commands.h"

namespace lafs {

void add_sftp_bench(cli::Commands& commands);

}  // namespace lafs
