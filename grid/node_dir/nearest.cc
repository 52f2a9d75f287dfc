// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir/nearest.h"

#include <algorithm>
#include <utility>

namespace lafs::grid {

namespace {

// How many letters have to be changed, added or left out to make one of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggestion(std::string_view wrong, const std::vector<std::string_view>& names) {
  if (wrong.size() > 100) return {};
  const auto nearest = std::ranges::min_element(
      names, {}, [&](std::string_view name) { return distance(wrong, name); });
  if (nearest == names.end()) return {};
  if (distance(wrong, *nearest) > std::max<std::size_t>(2, nearest->size() / 3)) return {};
  return "; did you mean \"" + std::string(*nearest) + "\"?";
}

}  // namespace lafs::grid
