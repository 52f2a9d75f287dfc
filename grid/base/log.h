// SPDX-License-Identifier: Apache-2.0
#pragma once

// The log. Every message passes redact() first, so that no capability, swissnum or secret reaches a
// terminal or a file by way of an error text.

#include <string>
#include <string_view>

namespace lafs::log {

enum class Level { debug, info, warning, error, off };

void set_level(Level level);
void set_level_from_name(std::string_view name);  // "debug".."off"; anything else is ignored

void debug(std::string_view message);
void info(std::string_view message);
void warning(std::string_view message);
void error(std::string_view message);

// Caps keep their kind and lose their keys ("URI:CHK:[redacted]"); NURLs and FURLs lose their
// swissnum ("pb://...@host:port/[redacted]").
std::string redact(std::string_view message);

}  // namespace lafs::log
