// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "frontends/cli/commands.h"

namespace lafs {

void add_run_command(cli::Commands& commands);  // run

}  // namespace lafs
