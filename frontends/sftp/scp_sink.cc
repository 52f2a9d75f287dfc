// SPDX-License-Identifier: Apache-2.0

// scp -t: we receive.

#include <charconv>

#include "frontends/sftp/scp_stream.h"

namespace lafs::sftp {
namespace {

// "C0644 12 name", "T1 0 2 0".
struct Line {
  std::uint32_t mode = 0;
  std::uint64_t size = 0;
  std::string name;
};

std::optional<Line> parse_head(std::string_view text) {
  Line out;
  const auto* end = text.data() + text.size();
  auto mode = std::from_chars(text.data() + 1, end, out.mode, 8);
  if (mode.ec != std::errc() || mode.ptr == end || *mode.ptr != ' ') return std::nullopt;
  auto size = std::from_chars(mode.ptr + 1, end, out.size);
  if (size.ec != std::errc() || size.ptr == end || *size.ptr != ' ') return std::nullopt;
  out.name = std::string(size.ptr + 1, end);
  if (out.name.empty() || out.name == "." || out.name == ".." ||
      out.name.find('/') != out.name.npos)
    return std::nullopt;
  out.mode &= 07777;
  return out;
}

std::optional<fs::Changes> parse_times(std::string_view text) {
  std::int64_t modified = 0, accessed = 0;
  const auto* end = text.data() + text.size();
  auto first = std::from_chars(text.data() + 1, end, modified);
  const std::string_view between(first.ptr, end);
  if (first.ec != std::errc() || !between.starts_with(" 0 ")) return std::nullopt;
  if (std::from_chars(first.ptr + 3, end, accessed).ec != std::errc()) return std::nullopt;
  fs::Changes out;
  out.modified = timespec{modified, 0};
  out.accessed = timespec{accessed, 0};
  return out;
}

class ScpSink {
 public:
  ScpSink(CommandContext& context, ScpStream& stream, const ScpOptions& options)
      : context_(context),
        files_(context.files),
        walker_(context.files),
        stream_(stream),
        options_(options) {}

  Task<> receive_all() {
    const auto path = fs::join_path(context_.home, options_.paths.front());
    auto target = co_await walker_.node(path);
    const bool directory = target && target->is(fs::Kind::directory);
    if (options_.directory && !directory) {
      stream_.refuse(options_.paths.front(), {Errc::not_directory, ""});
      co_return;
    }
    co_await receive(path, directory, 0);
  }

 private:
  // What comes goes below `path`, or is `path`.
  Task<> receive(std::string path, bool below, int depth) {
    std::optional<fs::Changes> times;
    stream_.accept();
    while (true) {
      auto line = co_await stream_.line();
      if (!line || line->empty()) co_return;
      switch (line->front()) {
        case 'T':
          times = parse_times(*line);
          if (!times) co_return broken("a line of times");
          stream_.accept();
          continue;
        case 'E':
          if (depth == 0) co_return broken("an end without a beginning");
          stream_.accept();
          co_return;
        case 'C':
        case 'D':
          break;
        case 1:
          continue;  // the sender could not read something
        default:
          co_return broken("an unknown line");
      }
      auto head = parse_head(*line);
      if (!head) co_return broken("a bad name or size");
      const auto to = below ? fs::join_path(path, head->name) : path;
      if (line->front() == 'C') {
        const bool go_on = co_await receive_file(to, std::move(*head), times);
        if (!go_on) co_return;
      } else {
        if (!options_.recursive || depth >= scp_depth_max) co_return broken("a directory");
        auto made = co_await make_directory(to, *head);
        if (!made) {
          stream_.refuse(to, made.error());
          continue;
        }
        co_await receive(to, true, depth + 1);
        if (times) {
          auto node = co_await walker_.node(to);
          if (node) {
            auto set = co_await files_.change(node->id(), *times, std::nullopt);
            if (!set) stream_.refuse(to, set.error());
          }
        }
      }
      times.reset();
    }
  }

  void broken(std::string_view what) {
    stream_.refuse("protocol error", {Errc::protocol, std::string(what)});
  }

  std::uint32_t mode_of(const Line& head) const {
    return options_.times ? head.mode : head.mode & ~context_.umask;
  }

  Task<Result<>> make_directory(std::string path, Line head) {
    CO_TRY(place, co_await walker_.place(path, fs::LastLink::follow));
    if (place.node) {
      if (!place.node->is(fs::Kind::directory)) co_return fail(Errc::not_directory);
      co_return Result<>{};
    }
    CO_TRY(made, co_await files_.mkdir(place.directory.id(), place.name, mode_of(head) | 0700,
                                       context_.caller));
    fs::NodeRef given_back(&files_, made);
    co_return Result<>{};
  }

  Task<Result<fs::Opened>> open(std::string path, const Line& head) {
    CO_TRY(place, co_await walker_.place(path, fs::LastLink::follow));
    fs::OpenFlags flags;
    flags.read = false;
    flags.write = flags.truncate = true;
    if (!place.node) {
      CO_TRY(made, co_await files_.create(place.directory.id(), place.name, mode_of(head), flags,
                                          false, context_.caller));
      node_ = fs::NodeRef(&files_, made.attributes);
      co_return made;
    }
    if (!place.node->is(fs::Kind::file)) co_return fail(Errc::is_directory);
    node_ = std::move(*place.node);
    co_return co_await files_.open(node_.id(), flags);
  }

  // False when the stream is over.
  Task<bool> receive_file(std::string path, Line head, std::optional<fs::Changes> times) {
    auto opened = co_await open(path, head);
    if (!opened) {
      stream_.refuse(path, opened.error());
      co_return true;  // its bytes do not come then
    }
    stream_.accept();
    Result<> outcome;
    std::uint64_t at = 0;
    while (at < head.size) {
      const auto data = co_await stream_.some(head.size - at);
      if (data.empty()) break;
      if (outcome) outcome = co_await files_.write(opened->handle, at, data);
      at += data.size();
    }
    const bool complete = at == head.size;
    if (complete && outcome && options_.times) {
      auto changes = times.value_or(fs::Changes{});
      changes.mode = head.mode;
      auto set = co_await files_.change(node_.id(), changes, opened->handle);
      if (!set) outcome = std::unexpected(std::move(set.error()));
    }
    if (outcome) outcome = co_await files_.flush(opened->handle);
    co_await files_.release(opened->handle);
    node_ = {};
    if (!complete) co_return false;
    co_await stream_.accepted();  // whether the sender could read all of it
    if (outcome) {
      stream_.accept();
    } else {
      stream_.refuse(path, outcome.error());
    }
    co_return true;
  }

  CommandContext& context_;
  fs::Filesystem& files_;
  fs::Walker walker_;
  ScpStream& stream_;
  const ScpOptions& options_;
  fs::NodeRef node_;  // of the file that comes in
};

}  // namespace

Task<> receive_all(CommandContext& context, ScpStream& stream, const ScpOptions& options) {
  ScpSink sink(context, stream, options);
  co_await sink.receive_all();
}

}  // namespace lafs::sftp
