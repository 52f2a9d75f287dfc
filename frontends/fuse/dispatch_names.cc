// SPDX-License-Identifier: Apache-2.0
// Requests about names and directories.
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>

#include <algorithm>

#include "frontends/fuse/convert.h"
#include "frontends/fuse/dispatch.h"

namespace lafs::fuse {

void Dispatch::answer_entry(Reply reply, const Result<fs::Attributes>& made, fs::NodeId parent,
                            const std::string& name) {
  if (!made) return reply.error(made.error());
  if (reply.entry(*made)) {
    referenced(*made, parent, name);
  } else {
    filesystem_.forget(made->id, 1);
  }
}

Task<> Dispatch::lookup(Reply reply, fs::NodeId parent, std::string name) {
  const auto found = co_await filesystem_.lookup(parent, name);
  if (!found && found.error().code == Errc::not_found) {
    reply.no_entry();
  } else {
    answer_entry(std::move(reply), found, parent, name);
  }
}

Task<> Dispatch::getattr(Reply reply, fs::NodeId node) {
  const auto found = co_await filesystem_.attributes(node);
  found ? reply.attributes(*found) : reply.error(found.error());
}

Task<> Dispatch::setattr(Reply reply, fs::NodeId node, fs::Changes changes,
                         std::optional<fs::HandleId> handle, bool clears_set_id) {
  if (!changes.mode && (clears_set_id || changes.uid || changes.gid)) {
    const auto before = co_await filesystem_.attributes(node);
    if (before && before->kind != fs::Kind::directory &&
        without_set_id(before->mode) != before->mode) {
      changes.mode = without_set_id(before->mode);
    }
  }
  const auto after = co_await filesystem_.change(node, changes, handle);
  after ? reply.attributes(*after) : reply.error(after.error());
}

Task<> Dispatch::readlink(Reply reply, fs::NodeId node) {
  const auto target = co_await filesystem_.readlink(node);
  target ? reply.link_target(*target) : reply.error(target.error());
}

Task<> Dispatch::mknod(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode,
                       fs::Caller caller) {
  switch (mode & S_IFMT) {
    case S_IFREG: {
      const fs::OpenFlags how{.read = false, .write = true};
      const auto made = co_await filesystem_.create(parent, name, mode & 07777, how, true, caller);
      if (!made) co_return reply.error(made.error());
      co_await filesystem_.release(made->handle);
      answer_entry(std::move(reply), made->attributes, parent, name);
      break;
    }
    case S_IFIFO:
    case S_IFSOCK: {
      const auto kind = S_ISFIFO(mode) ? fs::Kind::fifo : fs::Kind::socket;
      const auto made = co_await filesystem_.mknod(parent, name, kind, mode & 07777, caller);
      answer_entry(std::move(reply), made, parent, name);
      break;
    }
    default:  // device nodes mean nothing on another machine
      reply.error(EPERM);
  }
}

Task<> Dispatch::mkdir(Reply reply, fs::NodeId parent, std::string name, std::uint32_t mode,
                       fs::Caller caller) {
  const auto made = co_await filesystem_.mkdir(parent, name, mode & 07777, caller);
  answer_entry(std::move(reply), made, parent, name);
}

Task<> Dispatch::symlink(Reply reply, fs::NodeId parent, std::string name, std::string target,
                         fs::Caller caller) {
  const auto made = co_await filesystem_.symlink(parent, name, std::move(target), caller);
  answer_entry(std::move(reply), made, parent, name);
}

Task<> Dispatch::unlink(Reply reply, fs::NodeId parent, std::string name) {
  const auto result = co_await filesystem_.unlink(parent, std::move(name));
  reply.done(result);
}

Task<> Dispatch::rmdir(Reply reply, fs::NodeId parent, std::string name) {
  const auto result = co_await filesystem_.rmdir(parent, std::move(name));
  reply.done(result);
}

Task<> Dispatch::rename(Reply reply, fs::NodeId parent, std::string name, fs::NodeId new_parent,
                        std::string new_name, fs::RenameMode mode) {
  const auto result =
      co_await filesystem_.rename(parent, std::move(name), new_parent, std::move(new_name), mode);
  reply.done(result);
}

Task<> Dispatch::link(Reply reply, fs::NodeId node, fs::NodeId new_parent, std::string new_name) {
  const auto made = co_await filesystem_.link(node, new_parent, new_name);
  answer_entry(std::move(reply), made, new_parent, new_name);
}

Task<> Dispatch::opendir(Reply reply, fs::NodeId node) {
  const auto handle = co_await filesystem_.open_directory(node);
  if (!handle) co_return reply.error(handle.error());
  if (reply.opened(*handle, {})) {
    held_.opened(*handle, node, Held::HandleKind::directory);
  } else {
    co_await filesystem_.close_directory(*handle);
  }
}

// Offsets are ours: 0 and 1 stand before "." and "..", and 2 + cookie after an entry.
Task<> Dispatch::readdir(Reply reply, fs::NodeId node, fs::HandleId handle, std::size_t size,
                         std::uint64_t offset, bool plus) {
  constexpr std::size_t smallest_entry = 32, smallest_entry_plus = 160;
  constexpr std::uint64_t dots = 2;
  std::vector<char> buffer(std::min<std::size_t>(size, 1 << 20));
  std::size_t used = 0;
  const auto add = [&](const char* name, const fs::Attributes& attributes, std::uint64_t next,
                       bool counted) {
    std::size_t need = 0;
    const auto at = static_cast<off_t>(next);
    char* const to = buffer.data() + used;
    const std::size_t room = buffer.size() - used;
    if (plus) {
      fuse_entry_param entry;
      reply.fill(entry, attributes);
      if (!counted) entry.ino = 0;
      need = fuse_add_direntry_plus(reply.request(), to, room, name, &entry, at);
    } else {
      const auto s = to_stat(attributes);
      need = fuse_add_direntry(reply.request(), to, room, name, &s, at);
    }
    if (need > room) return false;
    used += need;
    return true;
  };

  fs::Attributes dot;
  dot.id = node;
  dot.kind = fs::Kind::directory;
  if (offset < 1) add(".", dot, 1, false);
  // The kernel knows who the parent is; nobody needs to be asked for this number.
  if (offset < dots) add("..", dot, dots, false);

  const auto most = buffer.size() / (plus ? smallest_entry_plus : smallest_entry) + 1;
  const auto after = offset < dots ? 0 : offset - dots;
  const auto entries = co_await filesystem_.read_directory(handle, after, most, plus);
  if (!entries) co_return reply.error(entries.error());
  std::size_t fitted = 0;
  while (fitted < entries->size() &&
         add((*entries)[fitted].name.c_str(), (*entries)[fitted].attributes,
             (*entries)[fitted].cookie + dots, true)) {
    ++fitted;
  }
  const bool taken = reply.bytes({reinterpret_cast<const std::uint8_t*>(buffer.data()), used});
  if (!plus) co_return;
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const auto& entry = (*entries)[i];
    if (taken && i < fitted) {
      referenced(entry.attributes, node, entry.name);
    } else {
      filesystem_.forget(entry.attributes.id, 1);
    }
  }
}

Task<> Dispatch::releasedir(Reply reply, fs::HandleId handle) {
  if (held_.closed(handle)) co_await filesystem_.close_directory(handle);
  reply.ok();
}

Task<> Dispatch::fsyncdir(Reply reply, fs::NodeId node) {
  const auto result = co_await filesystem_.sync_directory(node);
  reply.done(result);
}

Task<> Dispatch::statfs(Reply reply) {
  const auto space = co_await filesystem_.space();
  space ? reply.space(*space) : reply.error(space.error());
}

}  // namespace lafs::fuse
