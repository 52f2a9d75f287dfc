// SPDX-License-Identifier: Apache-2.0
#include "grid/base/netstring.h"

#include <charconv>

namespace lafs {

void append_netstring(Bytes& to, ByteView value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value.size()).ptr;
  append(to, as_bytes(std::string_view(digits, end)));
  to.push_back(':');
  append(to, value);
  to.push_back(',');
}

Bytes netstring(ByteView value) {
  Bytes out;
  out.reserve(value.size() + 12);
  append_netstring(out, value);
  return out;
}

Result<ByteView> take_netstring(ByteView& input) {
  constexpr std::size_t longest_length = 20;
  auto text = as_text(input);
  auto colon = text.substr(0, longest_length + 1).find(':');
  if (colon == text.npos) return fail(Errc::corrupt, "netstring without a length");
  auto length = parse_decimal(text.substr(0, colon));
  if (!length) return fail(Errc::corrupt, "netstring with a bad length");
  auto rest = input.subspan(colon + 1);
  if (*length >= rest.size()) return fail(Errc::corrupt, "netstring cut short");
  if (rest[*length] != ',') return fail(Errc::corrupt, "netstring without its comma");
  input = rest.subspan(*length + 1);
  return rest.first(*length);
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace lafs
