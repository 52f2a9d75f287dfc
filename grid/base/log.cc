// SPDX-License-Identifier: Apache-2.0
#include "grid/base/log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "grid/base/log_setup.h"

namespace lafs::log {

namespace {

std::atomic<Level> threshold = Level::warning;
std::atomic<Setup::Form> line_form = Setup::Form::text;
std::array<std::atomic<std::uint64_t>, 4> written{};

// Lines of several threads must not mix, and the file may be changed while somebody writes.
std::mutex output_mutex;
int output = STDERR_FILENO;

// "<3>": what journald and syslog call the level.
std::string_view priority_of(Level level) {
  switch (level) {
    case Level::debug:
      return "<7>";
    case Level::info:
      return "<6>";
    case Level::warning:
      return "<4>";
    case Level::error:
    case Level::off:
      break;
  }
  return "<3>";
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
  written[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  std::string line;
  const auto form = line_form.load();
  if (form == Setup::Form::journal) {
    line = format_line(Format::text, {}, name, message, fields);
    // Each line of a text of several is a message of its own to journald.
    std::string marked(priority_of(level));
    for (const char c : line) {
      marked += c;
      if (c == '\n') marked += priority_of(level);
    }
    line = std::move(marked);
  } else {
    line = format_line(form == Setup::Form::json ? Format::json : Format::text, now(), name,
                       message, fields);
  }
  line += '\n';
  const std::lock_guard lock(output_mutex);
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto done = ::write(output, rest.data(), rest.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;  // nobody to tell it to
    rest.remove_prefix(static_cast<std::size_t>(done));
  }
}

bool ends_token(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '"' || c == '\'' || c == '<' || c == '>' ||
         c == ',' || c == ')' || c == ']' || c == '}' || c == '/';
}

}  // namespace

void set_level(Level level) { threshold = level; }

std::optional<Level> level_of(std::string_view name) {
  if (name == "debug") return Level::debug;
  if (name == "info") return Level::info;
  if (name == "warning") return Level::warning;
  if (name == "error") return Level::error;
  if (name == "off") return Level::off;
  return std::nullopt;
}

void set_level_from_name(std::string_view name) {
  if (const auto level = level_of(name)) set_level(*level);
}

void set_format(Format format) {
  line_form = format == Format::json ? Setup::Form::json : Setup::Form::text;
}

bool enabled(Level level) { return level != Level::off && level >= threshold.load(); }

Result<> set_up(const Setup& setup) {
  int fd = STDERR_FILENO;
  if (!setup.file.empty()) {
    fd = ::open(setup.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
      return fail(errno == EACCES ? Errc::access_denied : Errc::io,
                  "cannot write the log " + setup.file.string() + ": " + std::strerror(errno));
    }
  }
  threshold = setup.level;
  line_form = setup.form;
  const std::lock_guard lock(output_mutex);
  if (output != STDERR_FILENO) ::close(output);
  output = fd;
  return {};
}

bool is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat facts{};
  if (!stream || ::fstat(STDERR_FILENO, &facts) != 0) return false;
  return stream == std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino);
}

std::uint64_t lines(Level level) {
  const auto index = static_cast<std::size_t>(level);
  return index < written.size() ? written[index].load(std::memory_order_relaxed) : 0;
}

void debug(std::string_view m, Fields fields) { write(Level::debug, "debug", m, fields); }
void info(std::string_view m, Fields fields) { write(Level::info, "info", m, fields); }
void warning(std::string_view m, Fields fields) { write(Level::warning, "warning", m, fields); }
void error(std::string_view m, Fields fields) { write(Level::error, "error", m, fields); }

std::string format_line(Format format, std::string_view time, std::string_view level,
                        std::string_view message, Fields fields) {
  std::string out;
  if (format == Format::text) {
    out = fmt::format("{}{}{} {}", time, time.empty() ? "" : " ", level, redact(message));
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
