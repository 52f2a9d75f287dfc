// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors.h"

#include <boost/json/parse.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "grid/crypto/hash.h"

namespace lafs::test {

json::value load_vectors(std::string_view file) {
  const char* directory = std::getenv("LAFS_VECTORS");
  const std::string path =
      std::string(directory && *directory ? directory : LAFS_SOURCE_ROOT "/tests/vectors") + "/" +
      std::string(file);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  const std::string all(std::istreambuf_iterator<char>(in), {});
  return json::parse(all);
}

const json::value& at(const json::value& object, std::string_view name) {
  const json::value* member = object.as_object().if_contains(name);
  if (!member) throw std::runtime_error("vectors have no " + std::string(name));
  return *member;
}

bool has(const json::value& object, std::string_view name) {
  const json::value* member = object.as_object().if_contains(name);
  return member && !member->is_null();
}

const json::array& group(const json::value& parent, std::string_view name) {
  const json::array& cases = at(parent, name).as_array();
  if (cases.empty()) throw std::runtime_error("no cases in vectors " + std::string(name));
  return cases;
}

std::string text(const json::value& string) {
  const auto& s = string.as_string();
  return std::string(s.data(), s.size());
}

Bytes hex(const json::value& string) {
  auto bytes = from_hex(text(string));
  if (!bytes) throw std::runtime_error("not hexadecimal: " + text(string));
  return *bytes;
}

Bytes b64(const json::value& string) {
  auto bytes = from_base64(text(string));
  if (!bytes) throw std::runtime_error("not base64: " + text(string));
  return *bytes;
}

std::uint64_t number(const json::value& integer) { return integer.to_number<std::uint64_t>(); }

bool flag(const json::value& boolean) { return boolean.as_bool(); }

Bytes stream_bytes(std::string_view stream, std::size_t length) {
  Bytes out;
  out.reserve(length + 32);
  for (std::uint64_t i = 0; out.size() < length; ++i)
    append(out, grid::sha256(as_bytes(std::string(stream) + ":" + std::to_string(i))));
  out.resize(length);
  return out;
}

Bytes plaintext(const json::value& description) {
  return stream_bytes(text(description, "stream"), number(description, "length"));
}

}  // namespace lafs::test
