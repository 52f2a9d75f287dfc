// SPDX-License-Identifier: Apache-2.0
#pragma once

// The log. Every message passes redact() first, so that no capability, swissnum or secret reaches a
// terminal or a file by way of an error text.
//
// A line is text ("2026-11-22T09:30:00.000 info message key=value") or, for programs, one JSON
// object: {"time":"...","level":"info","message":"...","key":"value"}.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lafs::log {

enum class Level { debug, info, warning, error, off };

void set_level(Level level);
void set_level_from_name(std::string_view name);  // "debug".."off"; anything else is ignored

enum class Format { text, json };
void set_format(Format format);

// A fact beside the message, so that programs need not take sentences apart.
struct Field {
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, std::uint64_t v) : key(k), value(std::to_string(v)), number(true) {}
  std::string_view key;
  std::string value;
  bool number = false;
};
using Fields = std::initializer_list<Field>;

void debug(std::string_view message, Fields fields = {});
void info(std::string_view message, Fields fields = {});
void warning(std::string_view message, Fields fields = {});
void error(std::string_view message, Fields fields = {});
// Whether such messages are written at all: for those that cost something to make.
bool enabled(Level level);

// One line without its line feed, as the functions above write it.
std::string format_line(Format format, std::string_view time, std::string_view level,
                        std::string_view message, Fields fields);

// Caps keep their kind and lose their keys ("URI:CHK:[redacted]"); NURLs and FURLs lose their
// swissnum ("pb://...@host:port/[redacted]").
std::string redact(std::string_view message);

}  // namespace lafs::log
