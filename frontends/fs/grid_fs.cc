// SPDX-License-Identifier: Apache-2.0

// GridFs: construction and end, space, extended attributes.

#include "frontends/fs/grid_fs.h"

#include "frontends/fs/facts.h"
#include "grid/base/log.h"

namespace lafs::fs {

namespace {
constexpr auto space_ttl = std::chrono::seconds(30);
constexpr std::size_t largest_xattr = 65536;     // of one value: what Linux allows
constexpr std::size_t most_xattr_bytes = 65536;  // of all of one entry: they live in the directory
}  // namespace

GridFs::GridFs(asio::any_io_executor executor, cache::CachedClient& client, cache::Cap root,
               Options options)
    : executor_(executor),
      client_(client),
      options_(std::move(options)),
      stored_(executor),
      closing_now_(executor),
      background_(executor) {
  nodes_.root().cap = std::move(root);
  background_.spawn(keep_trying());
}

GridFs::~GridFs() = default;

Task<Result<>> GridFs::close() {
  closing_ = true;
  closing_now_.notify();
  co_await background_.join();
  Result<> worst;
  std::size_t lost = 0;
  for (auto* node : nodes_.dirty_nodes()) {
    auto pin = nodes_.pin(*node);
    auto done = co_await store(*pin);
    if (done) continue;
    ++lost;
    worst = annotate(std::move(done).error(), pin->name);
  }
  if (lost == 0) co_return Result<>{};
  co_return annotate(std::move(worst).error(),
                     std::to_string(lost) + " files could not be stored, for example");
}

// What a failed store() left behind is tried again until it succeeds.
Task<> GridFs::keep_trying() {
  while (!closing_) {
    co_await closing_now_.wait(Clock::now() + options_.retry_every);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    if (closing_) break;
    std::vector<NodeTable::Pin> again;
    for (auto* node : nodes_.dirty_nodes())
      if (node->stuck) again.push_back(nodes_.pin(*node));
    for (auto& node : again) {
      if (closing_) break;
      auto done = co_await store(*node);
      if (!done) log::warning("still not stored: " + node->name + ": " + done.error().message());
    }
  }
}

Task<Result<SpaceInfo>> GridFs::space() {
  if (space_ && Clock::now() < space_until_) co_return *space_;
  auto answer = co_await client_.space();
  if (!answer && !space_) co_return std::unexpected(std::move(answer).error());
  if (answer) {
    SpaceInfo info;
    info.available = answer->available;
    // Servers say what is free, not what is taken: the drive shows as empty, never as nothing.
    info.total = std::max<std::uint64_t>(info.available, info.block_size);
    info.files = info.files_free = 1u << 30;
    space_ = info;
  }
  space_until_ = Clock::now() + space_ttl;
  co_return *space_;
}

// ------------------------------------------------------------------- extended attributes

namespace {

// Facts about a node that lafs itself shows; nothing when `name` is not one of them.
std::optional<std::string> shown_fact(const Node& node, const std::string& name) {
  if (name == "user.lafs.state") {
    if (node.stuck) return "stuck: " + node.stuck->message();
    if (node.storing) return "uploading";
    return node.dirty() ? "dirty" : "clean";
  }
  if (!node.cap || !node.on_grid) return std::nullopt;
  std::optional<cache::Cap> cap;
  if (name == "user.lafs.cap") cap = node.cap;
  if (name == "user.lafs.readcap") cap = node.cap->read_only();
  if (name == "user.lafs.verifycap") cap = node.cap->verifier();
  if (!cap) return std::nullopt;
  return cap->text();
}

}  // namespace

Task<Result<Bytes>> GridFs::xattr(NodeId id, std::string name) {
  CO_TRY(node, nodes_.pin(id));
  if (auto fact = shown_fact(*node, name)) co_return to_bytes(*fact);
  auto it = node->facts.xattrs.find(name);
  if (it == node->facts.xattrs.end()) co_return fail(Errc::no_attribute, name);
  co_return it->second;
}

Task<Result<std::vector<std::string>>> GridFs::xattr_names(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  // The facts of shown_fact() are answered when asked for by name, and not listed: what copies
  // attributes would try to set them.
  std::vector<std::string> out;
  for (const auto& [name, value] : node->facts.xattrs) out.push_back(name);
  co_return out;
}

Task<Result<>> GridFs::set_xattr(NodeId id, std::string name, Bytes value, XattrMode mode) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  if (!name.starts_with("user.")) co_return fail(Errc::unsupported, name);
  if (name.starts_with("user.lafs.")) co_return fail(Errc::not_permitted, name);
  if (node->kind != Kind::file && node->kind != Kind::directory)
    co_return fail(Errc::not_permitted, name);
  auto& xattrs = node->facts.xattrs;
  const bool there = xattrs.contains(name);
  if (mode == XattrMode::create && there) co_return fail(Errc::exists, name);
  if (mode == XattrMode::replace && !there) co_return fail(Errc::no_attribute, name);
  std::size_t total = name.size() + value.size();
  for (const auto& [other, bytes] : xattrs)
    if (other != name) total += other.size() + bytes.size();
  if (value.size() > largest_xattr) co_return fail(Errc::too_large, name);
  if (total > most_xattr_bytes) co_return fail(Errc::no_space, name);
  xattrs[name] = std::move(value);
  co_return co_await facts_were_changed(*node);
}

Task<Result<>> GridFs::remove_xattr(NodeId id, std::string name) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  if (!node->facts.xattrs.erase(name)) co_return fail(Errc::no_attribute, name);
  co_return co_await facts_were_changed(*node);
}

Task<Result<>> GridFs::facts_were_changed(Node& node) {
  // The root has no entry anywhere that could keep them: they last as long as the mount.
  if (node.id == root_node) co_return Result<>{};
  node.facts.ctime = wall_clock_now();
  node.facts_changed = true;
  // With a file that is open and not on the grid yet they travel with its content.
  if (node.kind == Kind::file && node.opens > 0 && (node.content_changed() || !node.on_grid))
    co_return Result<>{};
  if (!node.parent) {  // no name: nothing to store it under
    node.facts_changed = false;
    co_return Result<>{};
  }
  co_return co_await store(node);
}

}  // namespace lafs::fs
