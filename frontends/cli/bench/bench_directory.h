// SPDX-License-Identifier: Apache-2.0
#pragma once

// `lafs bench directory`, the part without servers: what a directory's table costs beside one
// SHA-256 and one AES pass over its bytes, and what a version costs beside its one signature.

#include "frontends/cli/bench/figures.h"
#include "grid/base/result.h"

#include <vector>

namespace lafs::cli {

// A directory of `children` entries: mostly files with POSIX facts, each tenth a directory.
Result<std::vector<Figure>> bench_directory(std::size_t children);

}  // namespace lafs::cli
