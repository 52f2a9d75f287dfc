// SPDX-License-Identifier: Apache-2.0
#include "frontends/mounts.h"

#include "grid/base/log.h"

namespace lafs {

namespace {

// What df and /proc/mounts show to everybody: never a cap.
std::string source_of(const MountRequest& request) {
  if (request.words.fsname) return *request.words.fsname;
  if (request.root.empty()) return "tahoe:";
  return request.root.starts_with("URI:") ? "lafs" : request.root;
}

fuse::MountOptions options_for(const MountRequest& request, bool read_only) {
  const auto& words = request.words;
  fuse::MountOptions out;
  out.read_only = read_only;
  out.source = source_of(request);
  if (words.allow_other) out.allow_other = *words.allow_other;
  if (words.allow_root) {
    out.allow_other = false;
    out.extra.emplace_back("allow_root");
  }
  if (words.default_permissions) out.default_permissions = *words.default_permissions;
  if (words.attr_timeout) out.timeouts.attributes = *words.attr_timeout;
  if (words.entry_timeout) out.timeouts.entry = *words.entry_timeout;
  if (words.negative_timeout) out.timeouts.negative = *words.negative_timeout;
  if (words.read_ahead_kib) out.read_ahead_kib = *words.read_ahead_kib;
  out.sync_on_close = words.sync_on_close;
  out.extra.insert(out.extra.end(), words.kernel.begin(), words.kernel.end());
  return out;
}

}  // namespace

struct Mounts::One {
  One(asio::any_io_executor executor, MountRequest r, std::shared_ptr<fs::View> v)
      : request(std::move(r)), view(std::move(v)), mount(std::move(executor)) {}
  MountRequest request;
  std::shared_ptr<fs::View> view;
  fuse::Mount mount;
};

Mounts::Mounts(Drive& drive)
    : drive_(drive),
      changed_(drive.session().io().executor),
      serving_(drive.session().io().executor) {}

Mounts::~Mounts() = default;

Task<Result<std::string>> Mounts::start(MountRequest request) {
  RootOptions root;
  root.view.read_only = request.words.read_only;
  root.view.file_mask = request.words.file_mask;
  root.view.directory_mask = request.words.directory_mask;
  root.uid = request.words.uid;
  root.gid = request.words.gid;
  using Durability = fs::GridFs::Durability;
  const bool grid = request.words.durability == MountWords::Durability::grid;
  if (request.words.sync_on_close) root.close = Durability::local;
  if (grid) root.close = root.fsync = Durability::grid;
  root.hard = request.words.hard;
  root.read_timeout = request.words.timeout;
  root.write_back_delay = request.words.write_back_delay;
  root.min_free = request.words.min_free;
  CO_TRY(view, co_await drive_.root(request.root, root));
  auto options = options_for(request, view->read_only());
  options.node = drive_.session().node().path().string();
  options.served = [this](unsigned requests) {
    if (auto* write_back = drive_.write_back()) write_back->used(requests);
  };
  auto one =
      std::make_shared<One>(drive_.session().io().executor, std::move(request), std::move(view));
  CO_TRY_DO(one->mount.start(*one->view, one->request.mountpoint, std::move(options)));
  one->view->listen(&one->mount.observer());
  one->request.mountpoint = one->mount.mountpoint();
  log::info("mounted " + source_of(one->request) + " at " + one->mount.mountpoint());
  all_.push_back(one);
  serving_.spawn(serve(one));
  co_return one->mount.mountpoint();
}

Task<> Mounts::serve(std::shared_ptr<One> one) {
  co_await one->mount.serve();
  one->view->listen(nullptr);
  log::info("unmounted " + one->request.mountpoint);
  all_.remove(one);
  changed_.notify();
}

Task<Result<>> Mounts::ended(std::string mountpoint) {
  const auto there = [&] {
    for (const auto& one : all_)
      if (one->request.mountpoint == mountpoint) return true;
    return false;
  };
  if (!there()) co_return fail(Errc::not_found, "not mounted at " + mountpoint);
  while (there()) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
    co_await changed_.wait();
  }
  co_return Result<>{};
}

Task<> Mounts::end(std::string mountpoint) {
  for (auto& one : all_) {
    if (one->request.mountpoint == mountpoint) one->mount.stop();
  }
  const auto gone = co_await ended(std::move(mountpoint));
  (void)gone;  // not there any more: that is what was wanted
}

Task<> Mounts::all_ended() { co_await serving_.join(); }

Task<> Mounts::close() {
  for (auto& one : all_) one->mount.stop();
  co_await serving_.join();
}

std::vector<Mounts::Info> Mounts::list() const {
  std::vector<Info> out;
  for (const auto& one : all_)
    out.push_back({source_of(one->request), one->request.mountpoint, one->view->read_only()});
  return out;
}

}  // namespace lafs
