// SPDX-License-Identifier: Apache-2.0

// GridFs: construction and end, space, extended attributes.

#include "frontends/fs/grid_fs.h"

#include "cache/health.h"
#include "frontends/fs/facts.h"

namespace lafs::fs {

namespace {
constexpr auto space_ttl = std::chrono::seconds(30);
constexpr std::size_t largest_xattr = 65536;     // of one value: what Linux allows
constexpr std::size_t most_xattr_bytes = 65536;  // of all of one entry: they live in the directory
}  // namespace

GridFs::GridFs(cache::CachedClient& client, cache::WriteBack& write_back, cache::Cap root,
               Options options)
    : client_(client),
      write_back_(write_back),
      options_(std::move(options)),
      nodes_(write_back, root) {
  write_back_.listen(this, [this](auto directory, const auto& from, auto& inode) {
    renamed_by_merge(directory, from, inode);
  });
}

GridFs::~GridFs() { write_back_.unlisten(this); }

bool GridFs::writable(NodeId directory) {
  const auto* node = nodes_.find(directory);
  return node && (!node->directory || node->directory->writable());
}

Task<Result<>> GridFs::close() {
  closing_ = true;
  using enum cache::WriteBack::OnError;
  co_return co_await write_back_.flush(nodes_.root().inode->number, TimePoint::max(), give_up);
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

// What of the caps that the grid has of a node is shown under `name`; nothing when it is not one
// of them, or there is no such cap.
std::optional<std::string> shown_cap(const Node& node, const std::string& name) {
  if (!node.inode->cap) return std::nullopt;
  std::optional<cache::Cap> cap;
  if (name == "user.lafs.cap") cap = node.inode->cap;
  if (name == "user.lafs.readcap") cap = node.inode->cap->read_only();
  if (name == "user.lafs.verifycap") cap = node.inode->cap->verifier();
  if (!cap) return std::nullopt;
  return cap->text();
}

}  // namespace

Task<Result<Bytes>> GridFs::xattr(NodeId id, std::string name) {
  CO_TRY(node, nodes_.pin(id));
  if (name == "user.lafs.state") co_return to_bytes(write_back_.state_of(*node->inode));
  if (auto cap = shown_cap(*node, name)) co_return to_bytes(*cap);
  if (name == "user.lafs.health" && node->inode->cap) {
    CO_TRY(health, co_await cache::health(client_.client(), *node->inode->cap));
    co_return to_bytes(health);
  }
  const auto& xattrs = node->inode->facts.xattrs;
  auto it = xattrs.find(name);
  if (it == xattrs.end()) co_return fail(Errc::no_attribute, name);
  co_return it->second;
}

Task<Result<std::vector<std::string>>> GridFs::xattr_names(NodeId id) {
  CO_TRY(node, nodes_.pin(id));
  // What lafs itself shows is answered when asked for by name, and not listed: what copies
  // attributes would try to set them.
  std::vector<std::string> out;
  for (const auto& [name, value] : node->inode->facts.xattrs) out.push_back(name);
  co_return out;
}

Task<Result<>> GridFs::set_xattr(NodeId id, std::string name, Bytes value, XattrMode mode) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  if (!name.starts_with("user.")) co_return fail(Errc::unsupported, name);
  if (name.starts_with("user.lafs.")) co_return fail(Errc::not_permitted, name);
  if (node->kind() != Kind::file && node->kind() != Kind::directory)
    co_return fail(Errc::not_permitted, name);
  auto facts = node->inode->facts;
  auto& xattrs = facts.xattrs;
  const bool there = xattrs.contains(name);
  if (mode == XattrMode::create && there) co_return fail(Errc::exists, name);
  if (mode == XattrMode::replace && !there) co_return fail(Errc::no_attribute, name);
  std::size_t total = name.size() + value.size();
  for (const auto& [other, bytes] : xattrs)
    if (other != name) total += other.size() + bytes.size();
  if (value.size() > largest_xattr) co_return fail(Errc::too_large, name);
  if (total > most_xattr_bytes) co_return fail(Errc::no_space, name);
  xattrs[name] = std::move(value);
  facts.ctime = wall_clock_now();
  co_return change_facts(*node, std::move(facts));
}

Task<Result<>> GridFs::remove_xattr(NodeId id, std::string name) {
  CO_TRY_DO(check_writable());
  CO_TRY(node, nodes_.pin(id));
  auto facts = node->inode->facts;
  if (!facts.xattrs.erase(name)) co_return fail(Errc::no_attribute, name);
  facts.ctime = wall_clock_now();
  co_return change_facts(*node, std::move(facts));
}

}  // namespace lafs::fs
