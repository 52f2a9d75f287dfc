// SPDX-License-Identifier: Apache-2.0
#include "frontends/drive.h"

#include <unistd.h>

#include <cassert>

#include "frontends/cli/places.h"
#include "frontends/fs/grid_fs.h"
#include "frontends/fs/subtree.h"
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

Result<std::shared_ptr<fs::GridFs>> Drive::files_of(const grid::Cap& base,
                                                    const RootOptions& options) {
  TRY_DO(start(options));
  auto& files = filesystems_[base.text()];
  if (files) {
    files->keep_at_least(options.close, options.fsync);
    return files;
  }
  fs::GridFs::Options fs_options;
  fs_options.uid = options.uid.value_or(::getuid());
  fs_options.gid = options.gid.value_or(::getgid());
  fs_options.close = options.close;
  fs_options.fsync = options.fsync;
  fs_options.hard = options.hard;
  fs_options.read_timeout = options.read_timeout;
  session_.client().keep_spare_keys(spare_keys);
  files =
      std::make_shared<fs::GridFs>(session_.cached(), *write_back_, base, std::move(fs_options));
  return files;
}

Task<Result<fs::NodeId>> Drive::directory_at(fs::GridFs& files, std::vector<std::string> path) {
  auto at = fs::root_node;
  for (auto& name : path) {
    auto found = co_await files.lookup(at, name);
    if (at != fs::root_node) files.forget(at, 1);
    if (!found) co_return annotate(std::move(found.error()), name);
    at = found->id;
    if (found->kind == fs::Kind::directory) continue;
    files.forget(at, 1);
    co_return fail(Errc::not_directory, name);
  }
  auto read = co_await files.open_directory(at);
  if (read) {
    co_await files.close_directory(*read);
    co_return at;
  }
  if (at != fs::root_node) files.forget(at, 1);
  co_return std::unexpected(std::move(read.error()));
}

std::shared_ptr<fs::Filesystem> Drive::part_of(const std::shared_ptr<fs::GridFs>& files,
                                               fs::NodeId top) {
  auto& part = parts_[{files.get(), top.value}];
  if (part) {
    if (top != fs::root_node) files->forget(top, 1);  // it has one already
  } else if (top == fs::root_node) {
    part = files;
  } else {
    part = std::make_shared<fs::Subtree>(files, top);
  }
  return part;
}

Task<Result<std::shared_ptr<fs::View>>> Drive::root(std::string place, RootOptions options) {
  CO_TRY(target, cli::parse_grid_target(place));
  auto path = std::exchange(target.path, {});
  CO_TRY(base, co_await cli::existing_place(session_, std::move(target)));
  // Read before anything is begun: a grid that is away, or no directory.
  CO_TRY(directory, co_await cli::directory_at(session_, base));
  directory.reset();
  CO_TRY(files, files_of(*base.cap, options));
  auto found = co_await directory_at(*files, std::move(path));
  if (!found) co_return annotate(std::move(found.error()), place);
  if (!files->writable(*found)) options.view.read_only = true;
  const Part key{files.get(), found->value};
  auto part = part_of(files, *found);
  if (options.quota) {
    auto& usage = usages_[key];
    const fs::Usage::Options usual;
    if (!usage) usage = std::make_shared<fs::Usage>(session_.io().executor, part, usual);
    options.view.usage = usage;
    options.view.quota = *options.quota;
  }
  co_return std::make_shared<fs::View>(std::move(part), options.view);
}

Task<Result<>> Drive::close() {
  Result<> worst;
  for (auto& [part, usage] : usages_) co_await usage->close();
  usages_.clear();
  parts_.clear();
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
