// SPDX-License-Identifier: Apache-2.0
#pragma once

// The letters of JSON: what parsing, checking and printing have in common.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lafs::grid {

struct JsonMember;
// As print_json() of a Json that holds these, which would be a copy.
std::string print_json_object(const std::vector<JsonMember>& object);

void append_utf8(std::string& out, std::uint32_t code);

// Takes one code point off the front; nothing when it is not UTF-8 (overlong, out of range, cut).
// Surrogates are let through for the caller to judge.
std::optional<std::uint32_t> take_code_point(std::string_view& text);
inline bool is_surrogate(std::uint32_t code) { return code >= 0xD800 && code < 0xE000; }

struct NumberText {
  std::size_t size = 0;  // 0: no number
  bool whole = true;     // an integer
};

// How much of the front of `text` is a number.
NumberText number_at(std::string_view text);

}  // namespace lafs::grid
