// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a node directory is its owner's alone: it holds the keys to everything.

#include <filesystem>
#include <string>
#include <vector>

namespace lafs::grid {

// What is wrong and what to do, one text each; none when all is well.
std::vector<std::string> complaints_about_rights(const std::filesystem::path& node);

}  // namespace lafs::grid
