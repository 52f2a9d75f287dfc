// SPDX-License-Identifier: Apache-2.0
#include "frontends/detach.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "grid/node_dir/files.h"

namespace lafs {

namespace {

// What the child says: one byte of code + 1 and the context, or a zero byte for success. The pipe
// closing without a word means that it died.
Result<> read_word(int fd) {
  std::string word;
  char buffer[4096];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    word.append(buffer, static_cast<std::size_t>(n));
    if (word[0] == '\0') return {};
  }
  if (word.empty()) return fail(Errc::internal, "the process in the background ended early");
  return fail(static_cast<Errc>(word[0] - 1), word.substr(1));
}

}  // namespace

Result<Detached> Detached::fork() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "cannot make a pipe");
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return fail(Errc::io, "cannot start a process");
  }
  if (child > 0) {
    ::close(ends[1]);
    auto word = read_word(ends[0]);
    ::close(ends[0]);
    if (!word) return std::unexpected(std::move(word.error()));
    return Detached(-1);
  }
  ::close(ends[0]);
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::close(nothing);
  return Detached(ends[1]);
}

Detached::Detached(Detached&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)) {}

Detached::~Detached() {
  if (pipe_ >= 0) ::close(pipe_);
}

Result<> Detached::ready(const std::filesystem::path& log) {
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0) return grid::system_error(errno, log, "write");
  ::dup2(fd, STDOUT_FILENO);
  ::dup2(fd, STDERR_FILENO);
  ::close(fd);
  // Whatever directory this was typed in is not ours to keep busy.
  [[maybe_unused]] const int moved = ::chdir("/");
  const char word = '\0';
  const bool told = ::write(pipe_, &word, 1) == 1;
  ::close(std::exchange(pipe_, -1));
  if (!told) return fail(Errc::cancelled, "nobody waits for the start");
  return {};
}

void Detached::failed(const Error& error) {
  if (pipe_ < 0) return;
  std::string word(1, static_cast<char>(static_cast<int>(error.code) + 1));
  word += error.context;
  [[maybe_unused]] const auto written = ::write(pipe_, word.data(), word.size());
  ::close(std::exchange(pipe_, -1));
}

}  // namespace lafs
