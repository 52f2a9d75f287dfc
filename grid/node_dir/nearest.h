// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which of the known names somebody meant who mistyped one.

#include <string>
#include <string_view>
#include <vector>

namespace lafs::grid {

// "; did you mean \"X\"?", when one of the names is near.
std::string suggestion(std::string_view wrong, const std::vector<std::string_view>& names);

}  // namespace lafs::grid
