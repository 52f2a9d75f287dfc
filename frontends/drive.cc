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

void Drive::set_cache(CacheSettings settings) {
  cache_ = std::move(settings);
  auto reads = session_.cached().disk_options();
  if (!reads) return;
  if (cache_.directory) reads->directory = *cache_.directory + "/cache";
  if (cache_.read_bytes) reads->segment_bytes = *cache_.read_bytes;
  if (cache_.min_free) reads->min_free = *cache_.min_free;
  if (!cache_.keep_reads) reads.reset();
  session_.cached().keep_on_disk(std::move(reads));
}

// The node directory's write path, which only one process can have.
Result<> Drive::start(const RootOptions& wanted) {
  if (write_back_) return {};
  const auto& node = session_.node();
  cache::WriteBack::Options options;
  options.directory = cache_.directory ? *cache_.directory + "/drive"
                                       : (node.path() / "private" / "drive").string();
  if (cache_.min_free) options.budget.min_free = *cache_.min_free;
  TRY(secret, node.lease_secret());
  options.node_secret = secret;
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) == 0) options.host = host;
  if (wanted.write_back_delay) {
    options.limits.quiet = *wanted.write_back_delay;
    options.limits.latest = std::max(options.limits.latest, 10 * *wanted.write_back_delay);
  }
  if (wanted.most_staged) options.budget.most_bytes = *wanted.most_staged;
  if (wanted.min_free) options.budget.min_free = *wanted.min_free;
  disk_ = cache::Disk::from_environment();
  auto opened =
      cache::WriteBack::open(session_.io().executor, session_.cached(), *disk_, std::move(options));
  if (!opened && opened.error().code == Errc::busy)
    return fail(Errc::busy, "another lafs serves files of the node directory " +
                                node.path().string() + "; only one can (mount, serve)");
  if (!opened) return std::unexpected(std::move(opened).error());
  write_back_ = std::move(*opened);
  return {};
}

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
    CO_TRY_DO(start(options));
    fs::GridFs::Options fs_options;
    fs_options.uid = options.uid.value_or(::getuid());
    fs_options.gid = options.gid.value_or(::getgid());
    fs_options.close = options.close;
    fs_options.fsync = options.fsync;
    fs_options.hard = options.hard;
    fs_options.read_timeout = options.read_timeout;
    session_.client().keep_spare_keys(spare_keys);
    filesystems_[cap] = std::make_shared<fs::GridFs>(session_.cached(), *write_back_, *root.cap,
                                                     std::move(fs_options));
  }
  if (options.quota) {
    auto& usage = usages_[cap];
    const fs::Usage::Options usual;
    if (!usage)
      usage = std::make_shared<fs::Usage>(session_.io().executor, filesystems_[cap], usual);
    options.view.usage = usage;
    options.view.quota = *options.quota;
  }
  co_return std::make_shared<fs::View>(filesystems_[cap], options.view);
}

Task<Result<>> Drive::close() {
  Result<> worst;
  for (auto& [cap, usage] : usages_) co_await usage->close();
  usages_.clear();
  for (auto& [cap, files] : filesystems_) {
    auto closed = co_await files->close();
    if (!closed) worst = std::move(closed);
  }
  filesystems_.clear();
  if (write_back_) {
    auto closed = co_await write_back_->close();
    if (!closed) worst = std::move(closed);
    write_back_.reset();
  }
  co_return worst;
}

}  // namespace lafs
