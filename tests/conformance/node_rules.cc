// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/node_rules.h"

namespace conformance {

using lafs::Task;

fs::NodeId Place::hold(fs::NodeId node) {
  held_.push_back(node);
  return node;
}

void Place::let_go() {
  for (const auto node : held_) files.forget(node, 1);
  held_.clear();
}

Task<fs::NodeId> Place::directory(fs::NodeId parent, std::string name) {
  FINE(made, co_await files.mkdir(parent, name, 0755, fs::Caller{}));
  co_return hold(made.id);
}

Task<fs::NodeId> Place::file(fs::NodeId parent, std::string name, std::string content) {
  const fs::OpenFlags how{.read = true, .write = true};
  FINE(made, co_await files.create(parent, name, 0644, how, true, fs::Caller{}));
  hold(made.attributes.id);
  FINE_DO(co_await files.write(made.handle, 0, lafs::as_bytes(content)));
  FINE_DO(co_await files.flush(made.handle));
  co_await files.release(made.handle);
  co_return made.attributes.id;
}

Task<> Place::write(fs::NodeId node, std::uint64_t offset, std::string content) {
  const fs::OpenFlags how{.read = false, .write = true};
  FINE(opened, co_await files.open(node, how));
  FINE_DO(co_await files.write(opened.handle, offset, lafs::as_bytes(content)));
  FINE_DO(co_await files.flush(opened.handle));
  co_await files.release(opened.handle);
}

Task<std::string> Place::content(fs::NodeId node) {
  const fs::OpenFlags how;
  FINE(opened, co_await files.open(node, how));
  std::string all;
  for (bool more = true; more;) {
    FINE(part, co_await files.read(opened.handle, all.size(), 1 << 16));
    all += lafs::as_text(part);
    more = part.size() == 1 << 16;
  }
  co_await files.release(opened.handle);
  co_return all;
}

Task<std::vector<std::string>> Place::list(fs::NodeId directory, std::size_t step) {
  FINE(handle, co_await files.open_directory(directory));
  std::vector<std::string> names;
  std::uint64_t after = 0;
  for (;;) {
    FINE(part, co_await files.read_directory(handle, after, step, false));
    if (part.empty()) break;
    MUST(part.size() <= step);
    for (const auto& entry : part) names.push_back(entry.name);
    after = part.back().cookie;
  }
  co_await files.close_directory(handle);
  co_return names;
}

Task<std::optional<Errc>> Place::missing(fs::NodeId parent, std::string name) {
  const auto found = co_await files.lookup(parent, name);
  if (!found) co_return found.error().code;
  files.forget(found->id, 1);
  co_return std::nullopt;
}

Task<std::vector<std::string>> run_node_rules(fs::Filesystem& filesystem, int& count) {
  std::vector<std::string> failures;
  auto rules = node_name_rules();
  for (auto& rule : node_file_rules()) rules.push_back(std::move(rule));
  count = 0;
  for (const auto& rule : rules) {
    ++count;
    const auto room = co_await filesystem.mkdir(fs::root_node, rule.name, 0755, fs::Caller{});
    if (!room) {
      failures.push_back(rule.name + ": no room for it: " + room.error().message());
      continue;
    }
    try {
      Place place(filesystem, room->id);
      co_await rule.check(place);
    } catch (const Failure& failure) {
      failures.push_back(rule.name + ": " + failure.what);
    } catch (const std::exception& e) {
      failures.push_back(rule.name + ": exception: " + e.what());
    }
    filesystem.forget(room->id, 1);
  }
  co_return failures;
}

}  // namespace conformance
