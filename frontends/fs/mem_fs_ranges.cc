// SPDX-License-Identifier: Apache-2.0
// Ranges of files: holes, room made in advance, copies. And names beside the first.
#include <algorithm>
#include <limits>

#include "frontends/fs/mem_fs.h"
#include "frontends/fs/mem_fs_node.h"

namespace lafs::fs {

namespace {

constexpr std::uint64_t largest_file = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t copy_step = 1 << 20;

}  // namespace

Task<Result<Attributes>> MemFs::link(NodeId id, NodeId new_parent, std::string new_name) {
  co_await pause();
  CO_TRY(node, find(id));
  CO_TRY(directory, find_directory(new_parent));
  CO_TRY_DO(check_name(new_name));
  CO_TRY_DO(may_change());
  if (node->is_directory()) co_return fail(Errc::not_permitted, "a directory has one name");
  if (node->attributes.links == 0) co_return fail(Errc::not_found, "the file was removed");
  if (directory->attributes.links == 0)
    co_return fail(Errc::not_found, "the directory was removed");
  if (child(*directory, new_name)) co_return fail(Errc::exists, new_name);
  MemFs::link(*directory, new_name, *node);
  ++node->attributes.links;
  const auto when = now();
  node->attributes.times.changed = when;
  directory->modified(when);
  ++node->references;
  co_return node->attributes;
}

Task<Result<std::uint64_t>> MemFs::seek(HandleId id, std::uint64_t offset, SeekFor what) {
  co_await pause();
  CO_TRY(handle, find_handle(id));
  const auto& content = handle->node->content;
  const auto found = what == SeekFor::data ? content.next_data(offset) : content.next_hole(offset);
  if (!found) co_return fail(Errc::bad_range, "nothing after it");
  co_return *found;
}

Task<Result<>> MemFs::allocate(HandleId id, std::uint64_t offset, std::uint64_t length,
                               AllocateMode mode) {
  co_await pause();
  CO_TRY(handle, find_handle(id));
  if (!handle->flags.write) co_return fail(Errc::bad_handle, "not open for writing");
  if (length == 0) co_return fail(Errc::bad_argument, "an empty range");
  if (offset > largest_file || length > largest_file - offset) co_return fail(Errc::too_large);
  auto& node = *handle->node;
  const auto end = offset + length;
  const bool room = mode == AllocateMode::grow || mode == AllocateMode::keep_size;
  if (room) {
    if (length > options_.capacity ||
        stored_ + node.content.growth(offset, length) > options_.capacity)
      co_return fail(Errc::no_space);
  } else {
    stored_ -= node.content.stored();
    node.content.zero(offset, std::min(end, node.content.size()));
    stored_ += node.content.stored();
  }
  const bool grows = mode == AllocateMode::grow || mode == AllocateMode::zero_range;
  if (grows && end > node.content.size()) CO_TRY_DO(resize(node, end));
  node.modified(now());
  co_return Result<>{};
}

Task<Result<std::uint64_t>> MemFs::copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                              std::uint64_t to_offset, std::uint64_t length) {
  co_await pause();
  CO_TRY(source, find_handle(from));
  CO_TRY(target, find_handle(to));
  if (!source->flags.read) co_return fail(Errc::bad_handle, "not open for reading");
  if (!target->flags.write || target->flags.append)
    co_return fail(Errc::bad_handle, "not open for writing at an offset");
  const auto size = source->node->content.size();
  if (offset >= size) co_return 0;
  length = std::min(length, size - offset);
  if (to_offset > largest_file || length > largest_file - to_offset)
    co_return fail(Errc::too_large);
  if (source->node == target->node && offset < to_offset + length && to_offset < offset + length)
    co_return fail(Errc::bad_argument, "the ranges overlap");
  std::uint64_t done = 0;
  while (done < length) {
    const auto part = source->node->content.read(offset + done, std::min(copy_step, length - done));
    auto& node = *target->node;
    const auto growth = node.content.growth(to_offset + done, part.size());
    if (growth > 0 && stored_ + growth > options_.capacity) {
      if (done > 0) break;
      co_return fail(Errc::no_space);
    }
    node.content.write(to_offset + done, part);
    stored_ += growth;
    done += part.size();
  }
  target->node->attributes.size = target->node->content.size();
  target->node->modified(now());
  co_return done;
}

}  // namespace lafs::fs
