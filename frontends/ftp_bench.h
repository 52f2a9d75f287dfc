// SPDX-License-Identifier: Apache-2.0
#pragma once

// lafs bench ftp: the FTP server beside vsftpd, with the same clients on the same disk.

#include "frontends/cli/commands.h"

namespace lafs {

void add_ftp_bench(cli::Commands& commands);

}  // namespace lafs
