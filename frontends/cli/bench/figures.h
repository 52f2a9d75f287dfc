// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a benchmark found, and the two ways of printing it: a table for people, JSON for programs.

#include <optional>
#include <span>
#include <string>

namespace lafs::cli {

struct Figure {
  std::string name;  // says what was measured and how: "erasure encode 3-of-10"
  double value = 0;
  std::string unit;  // "MB/s" (of 10^6 bytes), "1/s", "ms"
  // What the machine or a rival allows at most, in the same unit, measured in the same run; figures
  // of different runs and machines do not compare.
  std::optional<double> limit = {};
  std::optional<double> ratio = {};  // value / limit
};

// The same figure with its limit and ratio filled in.
Figure against(Figure figure, double limit);

// One line: {"figures":[{"name":"...","value":1.5,"unit":"MB/s","limit":3,"ratio":0.5},...]}. Limit
// and ratio are null where there is none, and so is a value that is not finite.
std::string figures_json(std::span<const Figure> figures);

// A line for each figure, columns aligned.
std::string figures_table(std::span<const Figure> figures);

}  // namespace lafs::cli
