// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "frontends/cli/commands.h"

namespace lafs {

void add_cache_commands(cli::Commands& commands);  // bench cache, rescue

}  // namespace lafs
