// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who we say we are: --version, announcements, what servers answer. The same as in meson.build.

#include <string_view>

namespace lafs {

inline constexpr std::string_view program_version = "lafs/0.1.0";

}  // namespace lafs
