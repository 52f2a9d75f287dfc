// SPDX-License-Identifier: Apache-2.0
#pragma once

// Known-answer vectors recorded from Tahoe-LAFS nodes: JSON files in $LAFS_VECTORS, or else in
// tests/vectors. Each file begins with `about`, which explains it. These functions are for tests
// only: what does not have the expected form ends the test with an exception that says so.

#include <boost/json/value.hpp>
#include <stdexcept>
#include <string_view>

#include "grid/base/base32.h"
#include "grid/base/bytes.h"

namespace lafs::test {

namespace json = boost::json;

// "caps.json" and the like.
json::value load_vectors(std::string_view file);

// The array `name` of an object; throws when it is missing or empty, so that no test passes by
// having found nothing.
const json::array& group(const json::value& parent, std::string_view name);
// A member of an object; throws when there is none.
const json::value& at(const json::value& object, std::string_view name);
// True when the member exists and is not null.
bool has(const json::value& object, std::string_view name);

// Strings: as they are, from lower-case hexadecimal, from base64 with padding.
std::string text(const json::value& string);
Bytes hex(const json::value& string);
Bytes b64(const json::value& string);
std::uint64_t number(const json::value& integer);
bool flag(const json::value& boolean);

// The same of a member: hex(c, "key_hex") is hex(at(c, "key_hex")).
inline std::string text(const json::value& o, std::string_view name) { return text(at(o, name)); }
inline Bytes hex(const json::value& o, std::string_view name) { return hex(at(o, name)); }
inline Bytes b64(const json::value& o, std::string_view name) { return b64(at(o, name)); }
inline std::uint64_t number(const json::value& o, std::string_view name) {
  return number(at(o, name));
}
inline bool flag(const json::value& o, std::string_view name) { return flag(at(o, name)); }

// Fixed-size results; throws when the length differs.
template <std::size_t N>
std::array<std::uint8_t, N> hex_array(const json::value& string) {
  const Bytes bytes = hex(string);
  if (bytes.size() != N) throw std::length_error("vector of another length: " + text(string));
  std::array<std::uint8_t, N> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
template <std::size_t N>
std::array<std::uint8_t, N> hex_array(const json::value& o, std::string_view name) {
  return hex_array<N>(at(o, name));
}

// {"stream": S, "length": L}: the first L bytes of SHA-256(S ":" "0") || SHA-256(S ":" "1") || ...
Bytes plaintext(const json::value& description);
Bytes stream_bytes(std::string_view stream, std::size_t length);

}  // namespace lafs::test
