// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "grid/directory/json_text.h"

namespace lafs::grid {

Json::Json(Array a) : value(std::move(a)) {}
Json::Json(Object o) : value(std::move(o)) {}

bool Json::operator==(const Json& other) const { return value == other.value; }

std::optional<std::int64_t> Json::integer() const {
  const auto* i = as<JsonInteger>();
  if (!i) return std::nullopt;
  std::int64_t out = 0;
  const char* end = i->digits.data() + i->digits.size();
  const auto [at, error] = std::from_chars(i->digits.data(), end, out);
  if (error != std::errc() || at != end) return std::nullopt;
  return out;
}

std::optional<double> Json::number() const {
  if (const auto* d = as<double>()) return *d;
  const auto* i = as<JsonInteger>();
  if (!i) return std::nullopt;
  double out = 0;
  const char* end = i->digits.data() + i->digits.size();
  const auto [at, error] = std::from_chars(i->digits.data(), end, out);
  if (error != std::errc() || at != end) return std::nullopt;
  return out;
}

bool Json::truthy() const {
  struct Visitor {
    bool operator()(std::nullptr_t) const { return false; }
    bool operator()(bool b) const { return b; }
    bool operator()(const JsonInteger& i) const {
      return i.digits.find_first_not_of("-0") != std::string::npos;
    }
    bool operator()(double d) const { return d != 0; }
    bool operator()(const std::string& s) const { return !s.empty(); }
    bool operator()(const Array& a) const { return !a.empty(); }
    bool operator()(const Object& o) const { return !o.empty(); }
  };
  return std::visit(Visitor{}, value);
}

const Json* find(const Json::Object& object, std::string_view key) {
  for (const auto& member : object) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

void set(Json::Object& object, std::string_view key, Json value) {
  for (auto& member : object) {
    if (member.key == key) {
      member.value = std::move(value);
      return;
    }
  }
  object.push_back({std::string(key), std::move(value)});
}

void erase(Json::Object& object, std::string_view key) {
  std::erase_if(object, [&](const JsonMember& m) { return m.key == key; });
}

namespace {

// How much of the front stands for itself inside of quotes.
std::size_t plain_run(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && text[i] >= 0x20 && text[i] < 0x7f && text[i] != '"' &&
         text[i] != '\\') {
    ++i;
  }
  return i;
}

class Parser {
 public:
  Parser(std::string_view text, int max_depth) : rest_(text), depth_left_(max_depth) {}

  Result<Json> document() {
    TRY(out, value());
    skip_space();
    if (!rest_.empty()) return bad("something behind the value");
    return out;
  }

 private:
  static std::unexpected<Error> bad(std::string_view what) {
    return fail(Errc::corrupt, "JSON: " + std::string(what));
  }

  void skip_space() {
    while (!rest_.empty() && std::string_view(" \t\n\r").contains(rest_[0])) rest_.remove_prefix(1);
  }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  Result<Json> value() {
    skip_space();
    if (rest_.empty()) return bad("a value is missing");
    switch (rest_[0]) {
      case '{':
        return nested([this] { return object(); });
      case '[':
        return nested([this] { return array(); });
      case '"': {
        TRY(text, string());
        return Json(std::move(text));
      }
      default:
        break;
    }
    if (take("null")) return Json();
    if (take("true")) return Json(true);
    if (take("false")) return Json(false);
    if (take("NaN")) return Json(std::numeric_limits<double>::quiet_NaN());
    if (take("Infinity")) return Json(std::numeric_limits<double>::infinity());
    if (take("-Infinity")) return Json(-std::numeric_limits<double>::infinity());
    return number();
  }

  template <class F>
  Result<Json> nested(F parse) {
    if (depth_left_ == 0) return bad("nested too deeply");
    --depth_left_;
    rest_.remove_prefix(1);
    auto out = parse();
    ++depth_left_;
    return out;
  }

  Result<Json> array() {
    Json::Array out;
    skip_space();
    if (take("]")) return Json(std::move(out));
    while (true) {
      TRY(element, value());
      out.push_back(std::move(element));
      skip_space();
      if (take("]")) return Json(std::move(out));
      if (!take(",")) return bad("a comma is missing in an array");
    }
  }

  Result<Json> object() {
    Json::Object out;
    std::map<std::string, std::size_t, std::less<>> places;  // many keys must not cost their square
    skip_space();
    if (take("}")) return Json(std::move(out));
    while (true) {
      skip_space();
      if (rest_.empty() || rest_[0] != '"') return bad("a key is missing");
      TRY(key, string());
      skip_space();
      if (!take(":")) return bad("a colon is missing");
      TRY(member, value());
      const auto [place, fresh] = places.try_emplace(key, out.size());
      if (fresh) {
        out.push_back({std::move(key), std::move(member)});
      } else {
        out[place->second].value = std::move(member);
      }
      skip_space();
      if (take("}")) return Json(std::move(out));
      if (!take(",")) return bad("a comma is missing in an object");
    }
  }

  std::optional<std::uint32_t> take_hex4() {
    if (rest_.size() < 4) return std::nullopt;
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = rest_[static_cast<std::size_t>(i)];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return std::nullopt;
      code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    rest_.remove_prefix(4);
    return code;
  }

  Result<std::string> string() {
    rest_.remove_prefix(1);
    std::string out;
    while (true) {
      if (rest_.empty()) return bad("a string does not end");
      const char c = rest_[0];
      if (c == '"') {
        rest_.remove_prefix(1);
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) return bad("a control character in a string");
      if (const auto plain = plain_run(rest_); plain > 0) {
        out.append(rest_.substr(0, plain));
        rest_.remove_prefix(plain);
        continue;
      }
      if (c != '\\') {
        const auto code = take_code_point(rest_);
        if (!code || is_surrogate(*code)) return bad("not UTF-8");
        append_utf8(out, *code);
        continue;
      }
      rest_.remove_prefix(1);
      if (rest_.empty()) return bad("a string does not end");
      const char escape = rest_[0];
      rest_.remove_prefix(1);
      static constexpr std::string_view names = "\"\\/bfnrt";
      static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      if (const auto at = names.find(escape); at != names.npos) {
        out.push_back(meanings[at]);
        continue;
      }
      if (escape != 'u') return bad("an unknown escape");
      auto code = take_hex4();
      if (!code) return bad("a bad \\u escape");
      if (*code >= 0xD800 && *code < 0xDC00 && rest_.starts_with("\\u")) {
        const auto before = rest_;
        rest_.remove_prefix(2);
        const auto low = take_hex4();
        if (low && *low >= 0xDC00 && *low < 0xE000) {
          code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        } else {
          rest_ = before;
        }
      }
      append_utf8(out, *code);
    }
  }

  Result<Json> number() {
    const auto [size, whole] = number_at(rest_);
    if (size == 0) return bad("not a value");
    const auto number_text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    if (whole) {
      Json out;
      out.value = JsonInteger{number_text == "-0" ? "0" : std::string(number_text)};
      return out;
    }
    double d = 0;
    const auto [end, error] = std::from_chars(number_text.begin(), number_text.end(), d);
    if (error == std::errc::result_out_of_range) {
      // Python: too large is infinite, too small is zero.
      const auto exponent = number_text.find_first_of("eE");
      const bool tiny = exponent != number_text.npos && number_text[exponent + 1] == '-';
      d = tiny ? 0.0 : std::numeric_limits<double>::infinity();
      if (number_text[0] == '-') d = -d;
    } else if (end != number_text.end()) {
      return bad("a bad number");
    }
    return Json(d);
  }

  std::string_view rest_;
  int depth_left_;
};

void print_string(std::string_view text, std::string& out) {
  static constexpr char hex[] = "0123456789abcdef";
  const auto escape = [&](std::uint32_t unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out.push_back(hex[unit >> shift & 15]);
  };
  out.push_back('"');
  while (!text.empty()) {
    const auto plain = plain_run(text);
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto code = take_code_point(text);
    if (!code) {  // only from a program: parsed strings are sound
      text.remove_prefix(1);
      escape(0xFFFD);
      continue;
    }
    static constexpr std::string_view named = "\"\\\b\f\n\r\t";
    static constexpr std::string_view names = "\"\\bfnrt";
    if (*code < 0x80 && named.contains(static_cast<char>(*code))) {
      out.push_back('\\');
      out.push_back(names[named.find(static_cast<char>(*code))]);
    } else if (*code >= 0x20 && *code < 0x7F) {
      out.push_back(static_cast<char>(*code));
    } else if (*code >= 0x10000) {
      escape(0xD800 + ((*code - 0x10000) >> 10));
      escape(0xDC00 + ((*code - 0x10000) & 0x3FF));
    } else {
      escape(*code);
    }
  }
  out.push_back('"');
}

// Python's repr(): the shortest digits that read back as the same number; an exponent of two
// digits at least when the number is below 1e-4 or from 1e16 on.
void print_double(double d, std::string& out) {
  if (std::isnan(d)) {
    out += "NaN";
    return;
  }
  if (std::isinf(d)) {
    out += d < 0 ? "-Infinity" : "Infinity";
    return;
  }
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  if (text[0] == '-') {
    out.push_back('-');
    text.remove_prefix(1);
  }
  const auto e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(),
                  exponent);
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  if (exponent < -4 || exponent >= 16) {
    out.push_back(digits[0]);
    if (digits.size() > 1) {
      out.push_back('.');
      out += digits.substr(1);
    }
    out += exponent < 0 ? "e-" : "e+";
    const auto magnitude = std::to_string(std::abs(exponent));
    if (magnitude.size() < 2) out.push_back('0');
    out += magnitude;
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  } else {
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= whole) {
      out += digits + std::string(whole - digits.size(), '0') + ".0";
    } else {
      out += digits.substr(0, whole) + "." + digits.substr(whole);
    }
  }
}

void print(const Json& json, std::string& out);

void print(const Json::Object& object, std::string& out) {
  out.push_back('{');
  for (std::size_t i = 0; i < object.size(); ++i) {
    if (i) out += ", ";
    print_string(object[i].key, out);
    out += ": ";
    print(object[i].value, out);
  }
  out.push_back('}');
}

void print(const Json& json, std::string& out) {
  struct Visitor {
    std::string& out;
    void operator()(std::nullptr_t) const { out += "null"; }
    void operator()(bool b) const { out += b ? "true" : "false"; }
    void operator()(const JsonInteger& i) const { out += i.digits; }
    void operator()(double d) const { print_double(d, out); }
    void operator()(const std::string& s) const { print_string(s, out); }
    void operator()(const Json::Array& a) const {
      out.push_back('[');
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (i) out += ", ";
        print(a[i], out);
      }
      out.push_back(']');
    }
    void operator()(const Json::Object& o) const { print(o, out); }
  };
  std::visit(Visitor{out}, json.value);
}

}  // namespace

Result<Json> parse_json(std::string_view text, int max_depth) {
  return Parser(text, max_depth).document();
}

std::string print_json(const Json& value) {
  std::string out;
  print(value, out);
  return out;
}

std::string print_json_object(const Json::Object& object) {
  std::string out;
  out.reserve(256);  // most metadata fit
  print(object, out);
  return out;
}

}  // namespace lafs::grid
