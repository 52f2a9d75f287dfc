// SPDX-License-Identifier: Apache-2.0
#pragma once

// The old scp protocol's words: lines that say what comes, bytes, and one byte of answer for each.

#include "frontends/sftp/commands.h"
#include "grid/base/log.h"

namespace lafs::sftp {

inline constexpr std::size_t scp_line_max = 4096;
inline constexpr std::size_t scp_queue_max = 2 * 1024 * 1024;
inline constexpr int scp_depth_max = 100;  // of directories

struct ScpOptions {
  bool from = false, to = false, recursive = false, times = false, directory = false;
  std::vector<std::string> paths;
};

// Bytes, lines and answers over a pipe.
class ScpStream {
 public:
  explicit ScpStream(Pipe& pipe) : pipe_(pipe) {}

  // Up to `most` bytes; none at the end.
  Task<Bytes> some(std::uint64_t most) {
    if (at_ == buffer_.size()) {
      auto next = co_await pipe_.read();
      buffer_ = next ? std::move(*next) : Bytes{};
      at_ = 0;
    }
    const auto count = std::min<std::uint64_t>(most, buffer_.size() - at_);
    Bytes out = to_bytes(ByteView(buffer_).subspan(at_, count));
    at_ += count;
    co_return out;
  }
  // Without its line feed; nothing at the end, or for a line that is too long.
  Task<std::optional<std::string>> line() {
    std::string out;
    while (out.size() < scp_line_max) {
      const auto byte = co_await some(1);
      if (byte.empty()) co_return std::nullopt;
      if (byte[0] == '\n') co_return out;
      out += static_cast<char>(byte[0]);
    }
    co_return std::nullopt;
  }
  // What the other side says to what we sent: true to go on.
  Task<bool> accepted() {
    const auto byte = co_await some(1);
    if (byte.empty()) co_return false;
    if (byte[0] == 0) co_return true;
    co_await line();  // why not: for its user, who knows
    if (byte[0] == 2) over_ = true;
    co_return false;
  }
  void accept() { pipe_.write(Bytes{0}); }
  void refuse(std::string_view what, const Error& error) {
    failed_ = true;
    pipe_.write(
        to_bytes("\1scp: " + std::string(what) + ": " + log::redact(error.message()) + "\n"));
  }
  void say(std::string text) { pipe_.write(to_bytes(text)); }
  void data(Bytes bytes) { pipe_.write(std::move(bytes)); }
  Task<bool> room() { return pipe_.room_to_write(scp_queue_max); }
  bool over() const { return over_; }
  bool failed() const { return failed_; }

 private:
  Pipe& pipe_;
  Bytes buffer_;
  std::size_t at_ = 0;
  bool over_ = false, failed_ = false;
};

// scp -f: sends what the paths name. scp_source.cc
Task<> send_all(CommandContext& context, ScpStream& stream, const ScpOptions& options);
// scp -t: takes what comes. scp_sink.cc
Task<> receive_all(CommandContext& context, ScpStream& stream, const ScpOptions& options);

}  // namespace lafs::sftp
