// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/names.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

namespace lafs::grid {

bool plainly_normal(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return (c & 0x80) == 0; });
}

Result<std::string> normalise_name(std::string_view name) {
  if (plainly_normal(name)) return std::string(name);
  utf8proc_uint8_t* composed = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()),
                   static_cast<utf8proc_ssize_t>(name.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (length < 0) return fail(Errc::bad_name, "the name is not UTF-8");
  std::string out(reinterpret_cast<char*>(composed), static_cast<std::size_t>(length));
  std::free(composed);
  return out;
}

}  // namespace lafs::grid
