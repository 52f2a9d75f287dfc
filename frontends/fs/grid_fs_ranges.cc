// SPDX-License-Identifier: Apache-2.0

// GridFs: ranges of files (holes, room made in advance, copies), and the names it cannot give.

#include "frontends/fs/grid_fs.h"

namespace lafs::fs {

namespace {
constexpr std::uint64_t step = 1 << 20;
}  // namespace

// An entry holds its content by value, so that two entries could not be changed as one.
Task<Result<Attributes>> GridFs::link(NodeId, NodeId, std::string new_name) {
  co_return fail(Errc::not_permitted, new_name);
}

Task<Result<std::uint64_t>> GridFs::seek(HandleId handle, std::uint64_t offset, SeekFor what) {
  CO_TRY(open, file(handle));
  const auto size = open->node->inode->current_size();
  if (offset >= size) co_return fail(Errc::bad_range, "past the end");
  co_return what == SeekFor::data ? offset : size;
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
  const bool reserves = mode == AllocateMode::grow || mode == AllocateMode::keep_size;
  if (reserves && end > size && end - size > write_back_.room())
    co_return fail(Errc::no_space, "no room for " + std::to_string(end - size) + " bytes");
  if (mode != AllocateMode::grow && mode != AllocateMode::keep_size && offset < size) {
    const Bytes zeros(std::min(step, std::min(end, size) - offset));
    for (auto at = offset; at < std::min(end, size); at += zeros.size()) {
      const auto part = std::min<std::uint64_t>(zeros.size(), std::min(end, size) - at);
      CO_TRY_DO(co_await write(handle, at, ByteView(zeros).first(part)));
    }
  }
  const bool grows = mode == AllocateMode::grow || mode == AllocateMode::zero_range;
  if (grows && end > size) CO_TRY_DO(co_await set_size(*node, end));
  co_return Result<>{};
}

Task<Result<std::uint64_t>> GridFs::copy_range(HandleId from, std::uint64_t offset, HandleId to,
                                               std::uint64_t to_offset, std::uint64_t length) {
  CO_TRY_DO(check_writable());
  CO_TRY(source, file(from));
  CO_TRY(target, file(to));
  if (!source->flags.read) co_return fail(Errc::bad_handle, "not open for reading");
  if (!target->flags.write || target->flags.append)
    co_return fail(Errc::bad_handle, "not open for writing at an offset");
  const auto size = source->node->inode->current_size();
  if (offset >= size) co_return 0;
  length = std::min(length, size - offset);
  if (to_offset > INT64_MAX || length > INT64_MAX - to_offset) co_return fail(Errc::too_large);
  if (source->node == target->node && offset < to_offset + length && to_offset < offset + length)
    co_return fail(Errc::bad_argument, "the ranges overlap");
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
