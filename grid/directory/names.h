// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names of children: UTF-8 in normalisation form C (spec/mutable 8.2).

#include <string>
#include <string_view>

#include "grid/base/result.h"

namespace lafs::grid {

// The NFC form of a name. Errc::bad_name when it is not UTF-8.
Result<std::string> normalise_name(std::string_view name);
// ASCII only, so that normalise_name() would give it back. Others may be in NFC as well.
bool plainly_normal(std::string_view name);

}  // namespace lafs::grid
