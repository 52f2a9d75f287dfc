// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

using namespace std::chrono_literals;

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string clock_text(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::min(seconds, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

std::string progress_line(const ProgressState& state, Duration elapsed, std::size_t width) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(elapsed).count());
  const double rate = static_cast<double>(state.done) / seconds;
  std::string facts =
      state.unit.empty()
          ? human_size(state.done) + "  " + human_size(static_cast<std::uint64_t>(rate)) + "/s"
          : fmt::format("{} {}  {:.0f}/s", state.done, state.unit, rate);
  std::string bar;
  if (state.total && *state.total > 0) {
    const double part =
        std::min(1.0, static_cast<double>(state.done) / static_cast<double>(*state.total));
    if (rate > 0) {
      facts += "  " + clock_text(static_cast<double>(*state.total) * (1 - part) / rate);
    }
    facts = fmt::format("{:3.0f} %  {}", part * 100 - 0.49 < 0 ? 0 : part * 100 - 0.49, facts);
    constexpr std::size_t cells = 20;
    const auto full = static_cast<std::size_t>(part * cells);
    bar = "[" + std::string(full, '=') + (full < cells ? ">" : "") +
          std::string(full < cells ? cells - full - 1 : 0, ' ') + "]  ";
  }
  // A narrow terminal loses the bar first, then the end of the name.
  if (facts.size() + bar.size() + 12 > width) bar.clear();
  if (facts.size() >= width) return facts.substr(0, width);
  std::string name = printable(state.what);
  const std::size_t room = width - facts.size() - bar.size();
  std::size_t columns = 0, end = 0;
  while (end < name.size()) {
    const bool begins = (static_cast<unsigned char>(name[end]) & 0xC0) != 0x80;
    if (begins && ++columns + 2 > room) break;
    ++end;
  }
  name.resize(end);
  return name + (name.empty() ? "" : "  ") + bar + facts;
}

Progress::Progress(std::string what, bool wanted)
    : state_{std::move(what), 0, std::nullopt, {}},
      enabled_(wanted && ::isatty(STDERR_FILENO)),
      started_(Clock::now()),
      next_(started_ + 1s) {}

Progress::~Progress() { clear(); }

void Progress::at(std::uint64_t done) {
  state_.done = done;
  if (!enabled_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + 100ms;
  shown_ = true;
  const auto line = progress_line(state_, now - started_, terminal_width() - 1);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
}

void Progress::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace lafs::cli
