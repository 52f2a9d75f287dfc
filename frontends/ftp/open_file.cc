// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/open_file.h"

namespace lafs::ftp {

Task<Result<>> OpenFile::open(fs::NodeId node, fs::OpenFlags flags) {
  CO_TRY(opened, co_await files_.open(node, flags));
  handle_ = opened.handle;
  attributes_ = opened.attributes;
  co_return Result<>{};
}

Task<Result<>> OpenFile::create(fs::NodeId directory, std::string name, std::uint32_t mode,
                                fs::OpenFlags flags, fs::Caller caller) {
  CO_TRY(opened, co_await files_.create(directory, std::move(name), mode, flags, false, caller));
  handle_ = opened.handle;
  attributes_ = opened.attributes;
  referenced_ = true;
  co_return Result<>{};
}

Task<> OpenFile::close() {
  const auto handle = std::exchange(handle_, std::nullopt);
  if (handle) co_await files_.release(*handle);
  if (std::exchange(referenced_, false)) files_.forget(attributes_.id, 1);
}

Task<Result<>> copy_bytes(fs::Filesystem& files, fs::HandleId from, fs::HandleId to,
                          std::uint64_t length) {
  for (std::uint64_t at = 0; at < length;) {
    CO_TRY(n, co_await files.copy_range(from, at, to, at, length - at));
    if (n == 0) co_return fail(Errc::io, "the file became shorter while it was copied");
    at += n;
  }
  co_return Result<>{};
}

}  // namespace lafs::ftp
