// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/walker.h"

#include <utility>

namespace lafs::fs {

// Where a walk is: the directories from the root (which is not among them) down to the last one,
// and the names still to go, the next one at the back.
struct Walker::Walk {
  std::vector<NodeRef> directories;
  std::vector<std::string> names;  // of `directories`
  std::vector<std::string> todo;
  unsigned links = 0;
  bool wants_directory = false;
  std::string last;              // a last name that is no directory, or absent
  std::optional<NodeRef> found;  // what `last` names

  NodeId directory() const { return directories.empty() ? root_node : directories.back().id(); }

  // Names of `path` come before what is still to do.
  Result<> push(std::string_view path) {
    if (path.size() > path_max) return fail(Errc::name_too_long, "the path");
    if (path.find('\0') != path.npos) return fail(Errc::bad_name, "the path");
    if (path.starts_with('/')) {
      directories.clear();
      names.clear();
    }
    // Only the end of the whole path tells; what links add at its front does not.
    if (todo.empty() && (path.ends_with('/') || path.ends_with("/.") || path == "."))
      wants_directory = true;
    std::vector<std::string> own;
    while (!path.empty()) {
      const auto name = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), name.size() + 1));
      if (!name.empty() && name != ".") own.emplace_back(name);
    }
    todo.insert(todo.end(), std::make_move_iterator(own.rbegin()),
                std::make_move_iterator(own.rend()));
    return {};
  }

  std::string path() const {
    std::string out;
    for (const auto& name : names) out += "/" + name;
    if (!last.empty()) out += "/" + last;
    return out.empty() ? "/" : out;
  }
};

Task<Result<>> Walker::step(Walk& walk, LastLink last) {
  while (!walk.todo.empty()) {
    auto name = std::move(walk.todo.back());
    walk.todo.pop_back();
    if (name == "..") {
      if (!walk.directories.empty()) {
        walk.directories.pop_back();
        walk.names.pop_back();
      }
      continue;
    }
    const bool is_last = walk.todo.empty();
    auto looked = co_await files_.lookup(walk.directory(), name);
    if (!looked) {
      if (looked.error().code != Errc::not_found || !is_last)
        co_return std::unexpected(std::move(looked.error()));
      walk.last = std::move(name);
      co_return Result<>{};
    }
    NodeRef node(&files_, *looked);
    if (node.is(Kind::directory)) {
      walk.directories.push_back(std::move(node));
      walk.names.push_back(std::move(name));
      continue;
    }
    if (node.is(Kind::symlink) && (!is_last || last == LastLink::follow || walk.wants_directory)) {
      if (++walk.links > links_max) co_return fail(Errc::symlink_loop, walk.path());
      auto target = co_await files_.readlink(node.id());
      if (!target) co_return std::unexpected(std::move(target.error()));
      if (target->empty()) co_return fail(Errc::not_found, "an empty symbolic link");
      CO_TRY_DO(walk.push(*target));
      continue;
    }
    if (!is_last || walk.wants_directory) co_return fail(Errc::not_directory, name);
    walk.last = std::move(name);
    walk.found = std::move(node);
  }
  co_return Result<>{};
}

Task<Result<NodeRef>> Walker::node(std::string path, LastLink last) {
  Walk walk;
  CO_TRY_DO(walk.push(path));
  CO_TRY_DO(co_await step(walk, last));
  if (walk.found) co_return std::move(*walk.found);
  if (!walk.last.empty()) co_return fail(Errc::not_found, walk.path());
  if (!walk.directories.empty()) {
    // The attributes may have been read some waits ago; nobody minds.
    co_return std::move(walk.directories.back());
  }
  CO_TRY(root, co_await files_.attributes(root_node));
  co_return NodeRef(&files_, root);
}

Task<Result<Walker::Place>> Walker::place(std::string path, LastLink last) {
  Walk walk;
  CO_TRY_DO(walk.push(path));
  // Whether the path's own end is ".." cannot be told from where the walk ends.
  const bool ends_above = !walk.todo.empty() && walk.todo.front() == "..";
  CO_TRY_DO(co_await step(walk, last));
  Place place;
  place.path = walk.path();
  place.wants_directory = walk.wants_directory;
  if (walk.last.empty() && !walk.directories.empty()) {
    place.node = std::move(walk.directories.back());
    if (!ends_above) place.name = std::move(walk.names.back());
    walk.directories.pop_back();
  } else if (walk.last.empty()) {
    CO_TRY(root, co_await files_.attributes(root_node));
    place.node = NodeRef(&files_, root);
  } else {
    place.name = std::move(walk.last);
    place.node = std::move(walk.found);
  }
  if (walk.directories.empty()) {
    CO_TRY(root, co_await files_.attributes(root_node));
    place.directory = NodeRef(&files_, root);
  } else {
    place.directory = std::move(walk.directories.back());
  }
  co_return place;
}

Task<Result<std::string>> Walker::real_path(std::string path) {
  Walk walk;
  CO_TRY_DO(walk.push(path));
  CO_TRY_DO(co_await step(walk, LastLink::follow));
  co_return walk.path();
}

std::string join_path(std::string_view directory, std::string_view path) {
  if (path.starts_with('/')) return std::string(path);
  std::string out(directory);
  if (!out.ends_with('/')) out += '/';
  return out += path;
}

}  // namespace lafs::fs
