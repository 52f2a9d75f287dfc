// SPDX-License-Identifier: Apache-2.0
#include "grid/base/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <memory>

namespace lafs::log {

namespace {

spdlog::logger& logger() {
  static auto instance = [] {
    auto made =
        std::make_shared<spdlog::logger>("lafs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");  // the whole line is ours
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

std::atomic<Format> line_format = Format::text;

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      break;
  }
  return spdlog::level::off;
}

std::string now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  const std::time_t seconds = ms / 1000;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}", local, ms % 1000);
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void write(Level level, std::string_view name, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  logger().log(spdlog_level(level), "{}", format_line(line_format, now(), name, message, fields));
}

bool ends_token(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '"' || c == '\'' || c == '<' || c == '>' ||
         c == ',' || c == ')' || c == ']' || c == '}' || c == '/';
}

}  // namespace

void set_level(Level level) { logger().set_level(spdlog_level(level)); }

void set_level_from_name(std::string_view name) {
  if (name == "debug") set_level(Level::debug);
  if (name == "info") set_level(Level::info);
  if (name == "warning") set_level(Level::warning);
  if (name == "error") set_level(Level::error);
  if (name == "off") set_level(Level::off);
}

void set_format(Format format) { line_format = format; }

bool enabled(Level level) { return logger().should_log(spdlog_level(level)); }

void debug(std::string_view m, Fields fields) { write(Level::debug, "debug", m, fields); }
void info(std::string_view m, Fields fields) { write(Level::info, "info", m, fields); }
void warning(std::string_view m, Fields fields) { write(Level::warning, "warning", m, fields); }
void error(std::string_view m, Fields fields) { write(Level::error, "error", m, fields); }

std::string format_line(Format format, std::string_view time, std::string_view level,
                        std::string_view message, Fields fields) {
  std::string out;
  if (format == Format::text) {
    out = fmt::format("{} {} {}", time, level, redact(message));
    for (const auto& f : fields) out += fmt::format(" {}={}", f.key, redact(f.value));
    return out;
  }
  const auto add = [&](std::string_view key, std::string_view value, bool number) {
    out += out.empty() ? '{' : ',';
    append_json(out, key);
    out += ':';
    if (number) {
      out += value;
    } else {
      append_json(out, value);
    }
  };
  add("time", time, false);
  add("level", level, false);
  add("message", redact(message), false);
  for (const auto& f : fields) add(f.key, redact(f.value), f.number);
  return out + "}";
}

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
