// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/json_text.h"

#include <cctype>

#include "grid/directory/json.h"

namespace lafs::grid {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::optional<std::uint32_t> take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto first = byte(0);
  std::size_t length = first < 0x80   ? 1
                       : first < 0xC2 ? 0
                       : first < 0xE0 ? 2
                       : first < 0xF0 ? 3
                       : first < 0xF5 ? 4
                                      : 0;
  if (length == 0 || text.size() < length) return std::nullopt;
  std::uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  static constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10FFFF) return std::nullopt;
  text.remove_prefix(length);
  return code;
}

NumberText number_at(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const auto begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  if (!text.empty() && text[0] == '-') ++at;
  if (at < text.size() && text[at] == '0') {
    ++at;
  } else if (digits() == 0) {
    return {};
  }
  bool whole = true;
  if (at + 1 < text.size() && text[at] == '.' && text[at + 1] >= '0' && text[at + 1] <= '9') {
    whole = false;
    ++at;
    digits();
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    const auto mantissa_end = at++;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) {
      at = mantissa_end;
    } else {
      whole = false;
    }
  }
  return {at, whole};
}

namespace {

// Walks over a text as the Parser would, and keeps nothing.
class Checker {
 public:
  Checker(std::string_view text, int max_depth) : rest_(text), depth_left_(max_depth) {}

  bool object_document() {
    skip_space();
    if (rest_.empty() || rest_[0] != '{' || !value()) return false;
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    while (!rest_.empty() &&
           (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t' || rest_[0] == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  bool value() {
    skip_space();
    if (rest_.empty()) return false;
    switch (rest_[0]) {
      case '{':
        return nested('}', true);
      case '[':
        return nested(']', false);
      case '"':
        return string();
      default:
        break;
    }
    const auto size = number_at(rest_).size;
    if (size == 0) {
      return take("null") || take("true") || take("false") || take("NaN") || take("Infinity") ||
             take("-Infinity");
    }
    rest_.remove_prefix(size);
    return true;
  }

  bool nested(char end, bool keys) {
    if (depth_left_ == 0) return false;
    --depth_left_;
    rest_.remove_prefix(1);
    skip_space();
    if (!take(end)) {
      do {
        skip_space();
        if (keys) {
          if (!string()) return false;
          skip_space();
          if (!take(':')) return false;
        }
        if (!value()) return false;
        skip_space();
      } while (take(','));
      if (!take(end)) return false;
    }
    ++depth_left_;
    return true;
  }

  bool string() {
    if (!take('"')) return false;
    std::size_t i = 0;
    while (true) {
      // Most of a string is plain characters.
      while (i < rest_.size() && static_cast<signed char>(rest_[i]) >= 0x20 && rest_[i] != '"' &&
             rest_[i] != '\\') {
        ++i;
      }
      if (i == rest_.size()) return false;
      if (rest_[i] == '"') break;
      if (rest_[i] == '\\') {
        if (i + 1 == rest_.size()) return false;
        if (rest_[i + 1] == 'u') {
          if (rest_.size() - i < 6) return false;
          for (std::size_t h = i + 2; h < i + 6; ++h) {
            if (!std::isxdigit(static_cast<unsigned char>(rest_[h]))) return false;
          }
          i += 6;
        } else if (std::string_view("\"\\/bfnrt").contains(rest_[i + 1])) {
          i += 2;
        } else {
          return false;
        }
        continue;
      }
      auto tail = rest_.substr(i);
      const auto code = take_code_point(tail);
      if (!code || *code < 0x20 || is_surrogate(*code)) return false;
      i = rest_.size() - tail.size();
    }
    rest_.remove_prefix(i + 1);
    return true;
  }

  std::string_view rest_;
  int depth_left_;
};

}  // namespace

bool is_json_object(std::string_view text, int max_depth) {
  return Checker(text, max_depth).object_document();
}

}  // namespace lafs::grid
