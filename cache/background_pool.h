// SPDX-License-Identifier: Apache-2.0
#pragma once

// Threads for work that nobody waits for: they get what CPU others leave.

#include <memory>

#include "grid/base/offload.h"

namespace lafs::cache {

std::unique_ptr<Pool> make_background_pool(unsigned threads);

}  // namespace lafs::cache
