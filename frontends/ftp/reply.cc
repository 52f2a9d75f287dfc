// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/reply.h"

namespace lafs::ftp {

namespace {
void append_clean(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f || byte == 0xff ? '?' : c;
  }
}
}  // namespace

std::string Reply::wire() const {
  const auto number = std::to_string(code);
  std::string out = number + (lines.empty() ? ' ' : '-');
  append_clean(out, text);
  out += "\r\n";
  if (lines.empty()) return out;
  for (const auto& line : lines) {
    out += ' ';
    append_clean(out, line);
    out += "\r\n";
  }
  out += number + ' ';
  append_clean(out, last);
  return out + "\r\n";
}

std::string quoted_path(std::string_view path) {
  std::string out = "\"";
  for (const char c : path) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace lafs::ftp
