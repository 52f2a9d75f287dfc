// SPDX-License-Identifier: Apache-2.0

// The old scp protocol, as `scp -f` (we send) and `scp -t` (we receive) speak it: lines that say
// what comes, bytes, and one byte of answer for each. Newer scp programs use SFTP instead.

#include <fnmatch.h>

#include <charconv>
#include <cstdio>

#include "frontends/sftp/commands.h"
#include "grid/base/log.h"

namespace lafs::sftp {
namespace {

constexpr std::size_t line_max = 4096;
constexpr std::uint32_t piece = 256 * 1024;
constexpr std::size_t queue_max = 2 * 1024 * 1024;
constexpr int depth_max = 100;

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
    while (out.size() < line_max) {
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
  Task<bool> room() { return pipe_.room_to_write(queue_max); }
  bool over() const { return over_; }
  bool failed() const { return failed_; }

 private:
  Pipe& pipe_;
  Bytes buffer_;
  std::size_t at_ = 0;
  bool over_ = false, failed_ = false;
};

struct Options {
  bool from = false, to = false, recursive = false, times = false, directory = false;
  std::vector<std::string> paths;
};

std::optional<Options> parse_options(const std::vector<std::string>& words) {
  Options out;
  bool options = true;
  for (auto at = words.begin() + 1; at != words.end(); ++at) {
    if (!options || at->size() < 2 || at->front() != '-') {
      out.paths.push_back(*at);
    } else if (*at == "--") {
      options = false;
    } else {
      for (const char c : at->substr(1)) {
        switch (c) {
          case 'f':
            out.from = true;
            break;
          case 't':
            out.to = true;
            break;
          case 'r':
            out.recursive = true;
            break;
          case 'p':
            out.times = true;
            break;
          case 'd':
            out.directory = true;
            break;
          case 'v':
          case 'q':
          case 'B':
          case 'C':
            break;
          default:
            return std::nullopt;
        }
      }
    }
  }
  if (out.from == out.to || out.paths.empty() || (out.to && out.paths.size() != 1))
    return std::nullopt;
  return out;
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto slash = path.rfind('/');
  return std::string(slash == path.npos ? path : path.substr(slash + 1));
}

class Source {
 public:
  Source(CommandContext& context, ScpStream& stream, const Options& options)
      : files_(context.files),
        walker_(context.files),
        home_(context.home),
        stream_(stream),
        options_(options) {}

  Task<> send_all() {
    const bool begun = co_await stream_.accepted();
    if (!begun) co_return;
    for (const auto& path : options_.paths) {
      auto found = co_await expand(path);
      for (const auto& one : found) {
        auto node = co_await walker_.node(fs::join_path(home_, one));
        if (!node) {
          stream_.refuse(one, node.error());
          continue;
        }
        const auto name = base_name(one);
        co_await send(*node, name, 0);
        if (stream_.over()) co_return;
      }
    }
  }

 private:
  // What a shell would make of "*.txt": names in one directory.
  Task<std::vector<std::string>> expand(std::string path) {
    std::vector<std::string> out;
    const auto pattern = base_name(path);
    auto itself = co_await walker_.node(fs::join_path(home_, path));
    if (!itself && pattern.find_first_of("*?[") != pattern.npos && !path.ends_with('/')) {
      const auto directory = path.substr(0, path.size() - pattern.size());
      auto parent = co_await walker_.node(fs::join_path(home_, directory));
      if (parent && parent->is(fs::Kind::directory)) {
        auto names = co_await names_of(parent->id());
        for (const auto& name : names)
          if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0)
            out.push_back(directory + name);
      }
    }
    if (out.empty()) out.push_back(path);
    co_return out;
  }

  Task<std::vector<std::string>> names_of(fs::NodeId directory) {
    std::vector<std::string> out;
    auto handle = co_await files_.open_directory(directory);
    if (!handle) co_return out;
    for (std::uint64_t after = 0;;) {
      auto entries = co_await files_.read_directory(*handle, after, 500, false);
      if (!entries || entries->empty()) break;
      for (auto& entry : *entries) out.push_back(std::move(entry.name));
      after = entries->back().cookie;
    }
    co_await files_.close_directory(*handle);
    co_return out;
  }

  Task<bool> send_times(const fs::Attributes& attributes) {
    if (!options_.times) co_return true;
    stream_.say("T" + std::to_string(attributes.times.modified.tv_sec) + " 0 " +
                std::to_string(attributes.times.accessed.tv_sec) + " 0\n");
    co_return co_await stream_.accepted();
  }

  static std::string head(char kind, const fs::Attributes& attributes, std::uint64_t size,
                          const std::string& name) {
    char mode[16];
    std::snprintf(mode, sizeof mode, "%c%04o ", kind, attributes.mode & 07777);
    return mode + std::to_string(size) + " " + name + "\n";
  }

  Task<> send(const fs::NodeRef& node, std::string name, int depth) {
    if (name.find('\n') != name.npos) {
      stream_.refuse(name, {Errc::bad_name, "scp cannot send a line feed in a name"});
      co_return;
    }
    if (node.is(fs::Kind::directory)) {
      if (options_.recursive && depth < depth_max) {
        co_await send_directory(node, name, depth);
      } else {
        stream_.refuse(name, {Errc::is_directory, "not a regular file"});
      }
    } else if (node.is(fs::Kind::file)) {
      co_await send_file(node, name);
    } else {
      stream_.refuse(name, {Errc::unsupported, "not a regular file"});
    }
  }

  Task<> send_directory(const fs::NodeRef& node, std::string name, int depth) {
    bool good = co_await send_times(node.attributes());
    if (!good) co_return;
    stream_.say(head('D', node.attributes(), 0, name));
    good = co_await stream_.accepted();
    if (!good) co_return;
    const auto names = co_await names_of(node.id());
    for (const auto& child : names) {
      auto found = co_await files_.lookup(node.id(), child);
      if (!found) continue;  // gone meanwhile
      fs::NodeRef below(&files_, *found);
      if (below.is(fs::Kind::symlink)) {
        // As the real one does: what a link leads to is sent. Never outside the account's root.
        auto target = co_await files_.readlink(below.id());
        if (!target) continue;
        auto led = co_await walker_.node(fs::join_path(home_, *target));
        if (!led || !led->is(fs::Kind::file)) continue;
        co_await send(*led, child, depth + 1);
      } else {
        co_await send(below, child, depth + 1);
      }
      if (stream_.over()) co_return;
    }
    stream_.say("E\n");
    co_await stream_.accepted();
  }

  Task<> send_file(const fs::NodeRef& node, std::string name) {
    bool good = co_await send_times(node.attributes());
    if (!good) co_return;
    const fs::OpenFlags reading;
    auto opened = co_await files_.open(node.id(), reading);
    if (!opened) {
      stream_.refuse(name, opened.error());
      co_return;
    }
    const auto size = opened->attributes.size;
    stream_.say(head('C', opened->attributes, size, name));
    good = co_await stream_.accepted();
    std::optional<Error> failed;
    for (std::uint64_t at = 0; good && at < size;) {
      good = co_await stream_.room();
      if (!good) break;
      const auto want = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece, size - at));
      Bytes data;
      if (!failed) {
        auto got = co_await files_.read(opened->handle, at, want);
        if (!got) {
          failed = got.error();
        } else if (got->size() < want) {
          failed = Error{Errc::io, "the file became shorter"};
        } else {
          data = std::move(*got);
        }
      }
      // The length was promised: zeros follow, and the error at the end.
      if (failed) data = Bytes(want);
      at += data.size();
      stream_.data(std::move(data));
    }
    co_await files_.release(opened->handle);
    if (!good) co_return;
    if (failed) {
      stream_.refuse(name, *failed);
    } else {
      stream_.accept();
    }
    co_await stream_.accepted();
  }

  fs::Filesystem& files_;
  fs::Walker walker_;
  std::string home_;
  ScpStream& stream_;
  const Options& options_;
};

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

class Sink {
 public:
  Sink(CommandContext& context, ScpStream& stream, const Options& options)
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
        if (!options_.recursive || depth >= depth_max) co_return broken("a directory");
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
  const Options& options_;
  fs::NodeRef node_;  // of the file that comes in
};

}  // namespace

Task<int> run_scp(CommandContext& context, std::vector<std::string> words, Pipe& pipe) {
  const auto options = parse_options(words);
  if (!options) {
    pipe.complain("scp: only -f and -t with -r, -p, -d are served here\n");
    co_return 1;
  }
  ScpStream stream(pipe);
  if (options->from) {
    Source source(context, stream, *options);
    co_await source.send_all();
  } else {
    Sink sink(context, stream, *options);
    co_await sink.receive_all();
  }
  co_return stream.failed() ? 1 : 0;
}

}  // namespace lafs::sftp
