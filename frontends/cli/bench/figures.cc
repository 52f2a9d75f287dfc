// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lafs::cli {
namespace {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string json_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null";
}

// Three digits are what a measurement is worth.
std::string rounded(double value) {
  const double size = std::abs(value);
  if (size >= 100) return fmt::format("{:.0f}", value);
  return size >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.2f}", value);
}

}  // namespace

Figure against(Figure figure, double limit) {
  figure.limit = limit;
  if (limit > 0) figure.ratio = figure.value / limit;
  return figure;
}

std::string figures_json(std::span<const Figure> figures) {
  std::string out = "{\"figures\":[";
  for (const Figure& f : figures) {
    if (&f != figures.data()) out += ',';
    out += fmt::format("{{\"name\":{},\"value\":{},\"unit\":{}", json_string(f.name),
                       json_number(f.value), json_string(f.unit));
    out += ",\"limit\":" + (f.limit ? json_number(*f.limit) : "null");
    out += ",\"ratio\":" + (f.ratio ? json_number(*f.ratio) : "null");
    out += '}';
  }
  return out + "]}\n";
}

std::string figures_table(std::span<const Figure> figures) {
  std::size_t widest = 0;
  for (const Figure& f : figures) widest = std::max(widest, f.name.size());
  std::string out;
  for (const Figure& f : figures) {
    out += fmt::format("{:<{}}  {:>9} {}", f.name, widest, rounded(f.value), f.unit);
    if (f.limit) out += fmt::format("   limit {}", rounded(*f.limit));
    if (f.ratio) out += fmt::format("   ratio {:.2f}", *f.ratio);
    out += '\n';
  }
  return out;
}

}  // namespace lafs::cli
