// SPDX-License-Identifier: Apache-2.0
#include "grid/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace lafs::log {

namespace {

spdlog::logger& logger() {
  static auto instance = [] {
    auto made =
        std::make_shared<spdlog::logger>("lafs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

bool ends_token(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '"' || c == '\'' || c == '<' || c == '>' ||
         c == ',' || c == ')' || c == ']' || c == '}' || c == '/';
}

}  // namespace

void set_level(Level level) {
  switch (level) {
    case Level::debug:
      logger().set_level(spdlog::level::debug);
      break;
    case Level::info:
      logger().set_level(spdlog::level::info);
      break;
    case Level::warning:
      logger().set_level(spdlog::level::warn);
      break;
    case Level::error:
      logger().set_level(spdlog::level::err);
      break;
    case Level::off:
      logger().set_level(spdlog::level::off);
      break;
  }
}

void set_level_from_name(std::string_view name) {
  if (name == "debug") set_level(Level::debug);
  if (name == "info") set_level(Level::info);
  if (name == "warning") set_level(Level::warning);
  if (name == "error") set_level(Level::error);
  if (name == "off") set_level(Level::off);
}

void debug(std::string_view m) {
  if (logger().should_log(spdlog::level::debug)) logger().debug(redact(m));
}
void info(std::string_view m) {
  if (logger().should_log(spdlog::level::info)) logger().info(redact(m));
}
void warning(std::string_view m) { logger().warn(redact(m)); }
void error(std::string_view m) { logger().error(redact(m)); }

std::string redact(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  while (!message.empty()) {
    if (message.starts_with("URI:")) {
      auto kind_end = message.find(':', 4);
      if (kind_end != message.npos) {
        out += message.substr(0, kind_end + 1);
        out += "[redacted]";
        message.remove_prefix(kind_end + 1);
        // What was redacted before, on its way into an error's context, is not redacted again.
        if (message.starts_with("[redacted]")) message.remove_prefix(10);
        while (!message.empty() && !ends_token(message.front())) message.remove_prefix(1);
        continue;
      }
    }
    if (message.starts_with("pb://")) {
      auto slash = message.find('/', 5);
      auto stop = message.find_first_of(" \n\t\"'<>)]}", 5);
      if (slash != message.npos && (stop == message.npos || slash < stop)) {
        out += message.substr(0, slash + 1);
        out += "[redacted]";
        message.remove_prefix(stop == message.npos ? message.size() : stop);
        continue;
      }
    }
    out += message.front();
    message.remove_prefix(1);
  }
  return out;
}

}  // namespace lafs::log
