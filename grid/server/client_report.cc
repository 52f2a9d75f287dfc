// SPDX-License-Identifier: Apache-2.0
#include "grid/server/client_report.h"

#include <algorithm>

#include "grid/base/errc.h"
#include "grid/base/netstring.h"

namespace lafs::grid::storage {

namespace {

constexpr std::size_t longest_text = 1000, longest_software = 40;
constexpr std::uint64_t most_errors = 1'000'000;

// Only names of ours: they become labels of figures, which must not grow without end.
bool is_name_of_error(std::string_view word) {
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code)
    if (word == name_of(static_cast<Errc>(code))) return true;
  return false;
}

}  // namespace

std::optional<ClientReport> ClientReport::parse(std::string_view text) {
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (text.size() > longest_text) return std::nullopt;
  ClientReport out;
  const auto software = text.substr(0, text.find(' '));
  if (software.empty() || software.size() > longest_software ||
      !std::ranges::all_of(software, printable))
    return std::nullopt;
  out.software = software;
  auto rest = text.substr(software.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    const auto equals = word.find('=');
    if (equals == word.npos || !is_name_of_error(word.substr(0, equals))) continue;
    const auto count = parse_decimal(word.substr(equals + 1));
    if (count && *count <= most_errors) out.errors[std::string(word.substr(0, equals))] = *count;
  }
  return out;
}

}  // namespace lafs::grid::storage
