// SPDX-License-Identifier: Apache-2.0
#pragma once

// JSON as Python's json module reads and writes it, because entries of immutable directories must
// come out byte for byte as Tahoe writes them (spec/mutable 8.5): objects keep their order,
// integers of any size keep their digits, 1 and 1.0 differ, NaN and Infinity exist, and lone
// surrogates survive (as three-byte sequences in otherwise valid UTF-8).

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "grid/base/result.h"

namespace lafs::grid {

// Decimal digits with an optional minus, as they stood.
struct JsonInteger {
  std::string digits;
  bool operator==(const JsonInteger&) const = default;
};

struct JsonMember;

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;  // keys are distinct
  std::variant<std::nullptr_t, bool, JsonInteger, double, std::string, Array, Object> value;

  // Bodies are below, where JsonMember is complete.
  Json();
  Json(bool b);
  Json(double d);
  Json(std::int64_t i);
  Json(std::string s);
  Json(const char* s);
  Json(Array a);
  Json(Object o);
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();

  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&value);
  }
  // Integers and floats alike; nothing for others and for what a double or int64 cannot hold.
  std::optional<double> number() const;
  std::optional<std::int64_t> integer() const;
  // What Python's bool() says: false for null, false, 0, "", [] and {}.
  bool truthy() const;

  bool operator==(const Json&) const;
};

struct JsonMember {
  std::string key;
  Json value;
  bool operator==(const JsonMember&) const = default;
};

inline Json::Json() : value(nullptr) {}
inline Json::Json(bool b) : value(b) {}
inline Json::Json(double d) : value(d) {}
inline Json::Json(std::int64_t i) : value(JsonInteger{std::to_string(i)}) {}
inline Json::Json(std::string s) : value(std::move(s)) {}
inline Json::Json(const char* s) : value(std::string(s)) {}
inline Json::Json(const Json&) = default;
inline Json::Json(Json&&) noexcept = default;
inline Json& Json::operator=(const Json&) = default;
inline Json& Json::operator=(Json&&) noexcept = default;
inline Json::~Json() = default;

// Of two members with one key the first keeps its place and the last its value.
const Json* find(const Json::Object& object, std::string_view key);
void set(Json::Object& object, std::string_view key, Json value);
void erase(Json::Object& object, std::string_view key);

// Errc::corrupt for anything that is not exactly one value in UTF-8, nested at most `max_depth`.
Result<Json> parse_json(std::string_view text, int max_depth = 64);
// Would parse_json() give an object? Much quicker: nothing is kept.
bool is_json_object(std::string_view text, int max_depth = 64);
// As json.dumps: ", " and ": ", ASCII only.
std::string print_json(const Json& value);

}  // namespace lafs::grid
