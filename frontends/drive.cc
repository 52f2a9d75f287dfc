// SPDX-License-Identifier: Apache-2.0
#include "frontends/drive.h"

#include <unistd.h>

#include <cassert>

#include "frontends/cli/places.h"
#include "frontends/fs/grid_fs.h"
#include "grid/node_dir/files.h"

namespace lafs {

namespace {
constexpr std::size_t spare_keys = 8;  // for directories to come
}  // namespace

Drive::~Drive() { assert(filesystems_.empty() && "close() a Drive before it ends"); }

Task<Result<std::shared_ptr<fs::View>>> Drive::root(std::string place, RootOptions options) {
  CO_TRY(target, cli::parse_grid_target(place));
  CO_TRY(root, co_await cli::existing_place(session_, std::move(target)));
  if (!root.is_directory()) co_return fail(Errc::not_directory, root.text);
  CO_TRY(directory, co_await cli::directory_at(session_, root));
  if (!directory->writable()) options.view.read_only = true;
  directory.reset();

  const auto cap = root.cap->text();
  if (!filesystems_.contains(cap)) {
    fs::GridFs::Options fs_options;
    fs_options.staging_directory = session_.node().path() / "private" / "staging";
    CO_TRY_DO(grid::make_directory(fs_options.staging_directory, 0700));
    fs_options.uid = options.uid.value_or(::getuid());
    fs_options.gid = options.gid.value_or(::getgid());
    session_.client().keep_spare_keys(spare_keys);
    filesystems_[cap] = std::make_shared<fs::GridFs>(session_.io().executor, session_.cached(),
                                                     *root.cap, std::move(fs_options));
  }
  co_return std::make_shared<fs::View>(filesystems_[cap], options.view);
}

Task<Result<>> Drive::close() {
  Result<> worst;
  for (auto& [cap, files] : filesystems_) {
    auto closed = co_await files->close();
    if (!closed) worst = std::move(closed);
  }
  filesystems_.clear();
  co_return worst;
}

}  // namespace lafs
