// SPDX-License-Identifier: Apache-2.0

// View: an account's quota. Usage decides; here is what has to be known for it.

#include "frontends/fs/view.h"

namespace lafs::fs {

Task<std::uint64_t> View::size_of(NodeId node) {
  co_await options_.usage->known();
  if (const auto size = options_.usage->open_size(node)) co_return *size;
  auto found = co_await files_->attributes(node);
  co_return found && found->kind == Kind::file ? found->size : 0;
}

// The file behind `handle` is about to reach from `offset` on for `length` bytes.
Task<Result<>> View::grow(HandleId handle, std::uint64_t offset, std::uint64_t length) {
  if (!options_.usage || length == 0) co_return Result<>{};
  co_await options_.usage->known();
  const auto open = open_.find(handle.value);
  if (open == open_.end()) co_return Result<>{};  // the filesystem says what is wrong with it
  const auto node = open->second.node;
  // One that has lost its name goes when it is closed.
  const auto size = options_.usage->open_size(node);
  if (!size) co_return Result<>{};
  if (open->second.flags.append) offset = *size;
  const auto end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
  if (end <= *size) co_return Result<>{};
  co_return options_.usage->resize(node, *size, end, options_.quota);
}

// Whether it could.
Task<Result<>> View::room_for(HandleId handle, std::uint64_t offset, std::uint64_t length) {
  if (!options_.usage) co_return Result<>{};
  co_await options_.usage->known();
  const auto open = open_.find(handle.value);
  if (open == open_.end()) co_return Result<>{};
  const auto size = options_.usage->open_size(open->second.node).value_or(0);
  const auto end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
  co_return options_.usage->may_add(end - std::min(end, size), options_.quota);
}

Task<std::optional<View::Named>> View::file_named(NodeId parent, std::string name) {
  co_await options_.usage->known();
  auto found = co_await files_->lookup(parent, std::move(name));
  if (!found) co_return std::nullopt;
  files_->forget(found->id, 1);
  if (found->kind != Kind::file || found->links > 1) co_return std::nullopt;
  co_return Named{found->id, options_.usage->open_size(found->id).value_or(found->size)};
}

Task<Result<SpaceInfo>> View::space() {
  if (!options_.usage) co_return co_await files_->space();
  co_await options_.usage->known();
  CO_TRY(info, co_await files_->space());
  const auto used = options_.usage->bytes();
  info.available = std::min(info.available, options_.quota - std::min(options_.quota, used));
  info.total = std::max<std::uint64_t>(used + info.available, 1);
  co_return info;
}

}  // namespace lafs::fs
