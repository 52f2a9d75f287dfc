// SPDX-License-Identifier: Apache-2.0

// scp -f: we send.

#include <fnmatch.h>

#include <cstdio>

#include "frontends/sftp/scp_stream.h"

namespace lafs::sftp {
namespace {

constexpr std::uint32_t piece = 256 * 1024;

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto slash = path.rfind('/');
  return std::string(slash == path.npos ? path : path.substr(slash + 1));
}

class ScpSource {
 public:
  ScpSource(CommandContext& context, ScpStream& stream, const ScpOptions& options)
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
      if (options_.recursive && depth < scp_depth_max) {
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
  const ScpOptions& options_;
};

}  // namespace

Task<> send_all(CommandContext& context, ScpStream& stream, const ScpOptions& options) {
  ScpSource source(context, stream, options);
  co_await source.send_all();
}

}  // namespace lafs::sftp
