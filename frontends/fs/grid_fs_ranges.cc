// SPDX-License-Identifier: Apache-2.0

// GridFs: ranges of files (holes, room made in advance, copies), and the names it cannot give.

#include "frontends/fs/grid_fs.h"

namespace lafs::fs {

namespace {
constexpr std::uint64_t step = 1 << 20;
// Of one call, which others wait for: whoever copies more asks again.
constexpr std::uint64_t most_copied = 4 << 20;
}  // namespace

// An entry holds its content by value, so that two entries could not be changed as one.
Task<Result<Attributes>> GridFs::link(NodeId, NodeId, std::string new_name) {
  co_return fail(Errc::not_permitted, new_name);
}

// Data is what is here, and what is inherited from stored content, which knows no holes.
Task<Result<std::uint64_t>> GridFs::seek(HandleId handle, std::uint64_t offset, SeekFor what) {
  CO_TRY(open, file(handle));
  auto node = nodes_.pin(*open->node);
  auto& inode = *node->inode;
  if (inode.content && !inode.staged) CO_TRY_DO(write_back_.stage(inode));
  const auto size = inode.current_size();
  if (offset >= size) co_return fail(Errc::bad_range, "past the end");
  if (!inode.staged) co_return what == SeekFor::data ? offset : size;
  const auto inherited = inode.staged->inherited_size();
  if (what == SeekFor::data) {
    if (offset < inherited) co_return offset;
    const auto there = inode.staged->local().present({offset, size});
    if (there.empty()) co_return fail(Errc::bad_range, "only a hole follows");
    co_return there.front().begin;
  }
  const auto from = std::max(offset, inherited);
  const auto holes = inode.staged->local().missing({from, std::max(from, size)});
  co_return holes.empty() ? size : holes.front().begin;
}

Task<Result<>> GridFs::allocate(HandleId handle, std::uint64_t offset, std::uint64_t length,
                                AllocateMode mode) {
  CO_TRY_DO(check_writable());
  CO_TRY(open, file(handle));
  if (!open->flags.write) co_return fail(Errc::bad_handle, "not open for writing");
  if (length == 0) co_return fail(Errc::bad_argument, "an empty range");
  if (offset > INT64_MAX || length > INT64_MAX - offset) co_return fail(Errc::too_large);
  auto node = nodes_.pin(*open->node);
  const auto end = offset + length;
  const auto size = node->inode->current_size();
  node->shown = false;
  if (mode == AllocateMode::grow || mode == AllocateMode::keep_size) {
    if (length > write_back_.room()) co_return fail(Errc::no_space, node->name);
    // Whoever asks for room for all of a new file is going to write it.
    if (mode == AllocateMode::keep_size && offset == 0 && size == 0)
      write_back_.expect(node->inode, length);
  } else if (offset < size) {
    CO_TRY_DO(co_await learn_size(*node));
    const auto last = std::min(end, size);
    CO_TRY(done, write_back_.zero(*node->inode, offset, last - offset, base_of(*node)));
    const Bytes zeros(done ? 0 : std::min(step, last - offset));
    for (auto at = offset; !done && at < last; at += zeros.size()) {
      const auto part = std::min<std::uint64_t>(zeros.size(), last - at);
      CO_TRY_DO(co_await write(handle, at, ByteView(zeros).first(part)));
    }
  }
  const bool grows = mode == AllocateMode::grow || mode == AllocateMode::zero_range;
  if (grows && end > size) CO_TRY_DO(co_await set_size(*node, end));
  co_return Result<>{};
}

// A file that the grid has is copied by its cap, as long as the copy is one from the beginning: so
// do `cp` and others, in several calls when the file is large.
Result<bool> GridFs::adopt_range(Node& source, std::uint64_t offset, Node& target,
                                 std::uint64_t to_offset, std::uint64_t length) {
  const auto& from = *source.inode;
  auto& to = *target.inode;
  const bool stored = !from.content && from.cap && !from.cap->is_mutable();
  if (!stored || offset != to_offset || &source == &target) return false;
  if (offset == 0 && to.current_size() > 0) {
    if (length < to.current_size() || (to.cap && to.cap->is_mutable())) return false;
    TRY_DO(write_back_.truncate(to, 0, base_of(target)));
  }
  target.shown = false;
  return write_back_.adopt(to, *from.cap, offset, offset + length, base_of(target));
}

Task<Result<std::uint64_t>> GridFs::copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                               std::uint64_t to_offset, std::uint64_t length) {
  CO_TRY_DO(check_writable());
  CO_TRY(source, file(from));
  CO_TRY(target, file(to));
  if (!source->flags.read) co_return fail(Errc::bad_handle, "not open for reading");
  if (!target->flags.write || target->flags.append)
    co_return fail(Errc::bad_handle, "not open for writing at an offset");
  auto source_node = nodes_.pin(*source->node), target_node = nodes_.pin(*target->node);
  CO_TRY_DO(co_await learn_size(*target_node));
  const auto size = source_node->inode->current_size();
  if (offset >= size) co_return 0;
  length = std::min(length, size - offset);
  if (to_offset > INT64_MAX || length > INT64_MAX - to_offset) co_return fail(Errc::too_large);
  if (&*source_node == &*target_node && offset < to_offset + length && to_offset < offset + length)
    co_return fail(Errc::bad_argument, "the ranges overlap");
  CO_TRY(adopted, adopt_range(*source_node, offset, *target_node, to_offset, length));
  if (adopted) co_return length;
  length = std::min(length, most_copied);
  std::uint64_t done = 0;
  while (done < length) {
    const auto want = static_cast<std::uint32_t>(std::min(step, length - done));
    auto part = co_await read(from, offset + done, want);
    Result<> written;
    if (part && part->empty()) break;
    if (part) written = co_await write(to, to_offset + done, *part);
    if (!part || !written) {
      if (done > 0) break;
      co_return std::unexpected(part ? std::move(written).error() : std::move(part).error());
    }
    done += part->size();
  }
  co_return done;
}

}  // namespace lafs::fs
