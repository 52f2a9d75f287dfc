// SPDX-License-Identifier: Apache-2.0
#include "cache/cached_directory.h"

#include "grid/base/log.h"

namespace lafs::cache {

namespace {

// How long a reader who could be shown the old snapshot waits for the grid.
constexpr auto patience = std::chrono::milliseconds(400);

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

// One apply(): its edits, and what became of them.
struct CachedDirectory::Pending {
  Pending(asio::any_io_executor executor, std::vector<grid::Edit> e)
      : edits(std::move(e)), settled(std::move(executor)) {}
  std::vector<grid::Edit> edits;
  std::optional<Result<>> outcome;
  Signal settled;
};

CachedDirectory::CachedDirectory(asio::any_io_executor executor,
                                 std::shared_ptr<grid::Directory> on_grid, Probe probe,
                                 Duration ttl, Memory memory)
    : executor_(executor),
      on_grid_(std::move(on_grid)),
      probe_(std::move(probe)),
      memory_(std::move(memory)),
      ttl_(ttl),
      publishing_(executor),
      updates_(executor),
      refreshed_(executor) {}

Task<Result<>> CachedDirectory::refresh() {
  if (snapshot_ && Clock::now() < fresh_until_) co_return Result<>{};
  // Our own publish brings a new snapshot with it; until then ours is as good as any.
  if (snapshot_ && !pending_.empty()) co_return Result<>{};
  if (!updating_) {
    updating_ = true;
    updates_.spawn(update());
  }
  // Whoever has something to show does not wait for a grid that is slow or away; the answer counts
  // when it comes.
  auto deadline = TimePoint::max();
  bool limited = false;
  while (updating_) {
    if (snapshot_ && !limited) {
      limited = true;
      deadline = Clock::now() + (away_ ? Duration::zero() : patience);
    }
    if (Clock::now() >= deadline) break;
    co_await refreshed_.wait(deadline);
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "reading a directory");
  }
  if (!snapshot_) co_return std::unexpected(update_error_);
  co_return Result<>{};
}

Task<> CachedDirectory::update() {
  if (!snapshot_ && memory_.load) {
    auto remembered = co_await memory_.load();
    if (remembered && !snapshot_) {
      snapshot_ = kept_ = std::make_shared<const grid::Listing>(std::move(*remembered));
      lay_over();
      refreshed_.notify();
    }
  }
  auto listing = co_await read_if_changed();
  away_ = !listing;
  if (!listing) {
    update_error_ = std::move(listing).error();
    if (snapshot_)
      log::warning("directory not refreshed, showing what was read before: " +
                   update_error_.message());
  } else if (*listing && (!snapshot_ || (*listing)->version >= snapshot_->version)) {
    // What we published meanwhile is newer than what we read.
    snapshot_ = std::move(*listing);
    lay_over();
  }
  fresh_until_ = Clock::now() + ttl_;
  updating_ = false;
  refreshed_.notify();
}

Task<Result<std::shared_ptr<const grid::Listing>>> CachedDirectory::read_if_changed() {
  if (snapshot_) {
    if (!probe_) co_return std::shared_ptr<const grid::Listing>();  // it cannot change
    auto version = co_await probe_();
    if (!version) co_return std::unexpected(std::move(version).error());
    if (*version == snapshot_->version) co_return std::shared_ptr<const grid::Listing>();
  }
  CO_TRY(listing, co_await on_grid_->list());
  co_return std::make_shared<const grid::Listing>(std::move(listing));
}

void CachedDirectory::lay_over() {
  if (snapshot_ != kept_ && memory_.keep) {
    kept_ = snapshot_;
    memory_.keep(*snapshot_);
  }
  ++generation_;
  overlay_.clear();
  const auto now = seconds_now();
  for (const auto& pending : pending_)
    for (const auto& edit : pending->edits) lay_over(edit, now);
}

void CachedDirectory::lay_over(const grid::Edit& edit, double now) {
  if (auto* set = std::get_if<grid::Edit::Set>(&edit.what)) {
    auto old = find(set->name);
    std::optional<Metadata> before;
    if (old) before = std::move(old->metadata);
    Child child{set->name, set->cap, set->cap.read_only().value_or(set->cap),
                Metadata::updated(before, set->metadata, now)};
    overlay_[set->name] = std::move(child);
  } else if (auto* remove = std::get_if<grid::Edit::Remove>(&edit.what)) {
    overlay_[remove->name] = std::nullopt;
  } else if (auto* rename = std::get_if<grid::Edit::Rename>(&edit.what)) {
    if (auto child = find(rename->from)) {
      overlay_[rename->from] = std::nullopt;
      child->name = rename->to;
      overlay_[rename->to] = std::move(*child);
    }
  } else if (auto* change = std::get_if<grid::Edit::SetMetadata>(&edit.what)) {
    if (auto child = find(change->name)) {
      child->metadata = Metadata::updated(child->metadata, change->change(child->metadata), now);
      overlay_[change->name] = std::move(*child);
    }
  }
}

std::optional<Child> CachedDirectory::find(std::string_view name) const {
  auto laid = overlay_.find(name);
  if (laid != overlay_.end()) return laid->second;
  if (!snapshot_) return std::nullopt;
  return snapshot_->find(name);
}

std::vector<Child> CachedDirectory::children() const {
  std::vector<Child> out;
  auto laid = overlay_.begin();
  auto take_laid = [&] {
    if (laid->second) out.push_back(*laid->second);
    ++laid;
  };
  if (snapshot_) {
    out.reserve(snapshot_->size() + overlay_.size());
    for (std::size_t i = 0; i < snapshot_->size(); ++i) {
      while (laid != overlay_.end() && laid->first < snapshot_->name(i)) take_laid();
      if (laid != overlay_.end() && laid->first == snapshot_->name(i))
        take_laid();
      else
        out.push_back(snapshot_->child(i));
    }
  }
  while (laid != overlay_.end()) take_laid();
  return out;
}

bool CachedDirectory::empty() const {
  if (overlay_.empty()) return !snapshot_ || snapshot_->empty();
  return children().empty();
}

Task<Result<>> CachedDirectory::apply(std::vector<grid::Edit> edits) {
  auto pending = std::make_shared<Pending>(executor_, std::move(edits));
  const bool idle = pending_.empty();
  pending_.push_back(pending);
  ++generation_;
  const auto now = seconds_now();
  for (const auto& edit : pending->edits) lay_over(edit, now);
  if (idle) publishing_.spawn(publish_pending());
  // Shielded: whoever gave up waiting has still changed the directory.
  while (!pending->outcome) co_await pending->settled.wait_shielded();
  co_return *pending->outcome;
}

namespace {

// The edits themselves are at fault, not the grid: the others of the batch need not suffer.
bool fault_of_one_edit(Errc code) {
  return code == Errc::not_found || code == Errc::exists || code == Errc::conflict ||
         code == Errc::bad_cap || code == Errc::bad_name || code == Errc::bad_argument;
}

}  // namespace

Task<> CachedDirectory::publish_pending() {
  std::size_t limit = SIZE_MAX;  // how many apply() calls go out together
  while (!pending_.empty()) {
    std::vector<std::shared_ptr<Pending>> batch;
    for (const auto& pending : pending_)
      if (batch.size() < limit) batch.push_back(pending);
    std::vector<grid::Edit> edits;
    for (const auto& pending : batch)
      edits.insert(edits.end(), pending->edits.begin(), pending->edits.end());
    grid::EditOptions options{.now = seconds_now()};
    auto edited = co_await on_grid_->edit(std::move(edits), std::move(options));
    if (!edited && batch.size() > 1 && fault_of_one_edit(edited.error().code)) {
      limit = 1;
      continue;
    }
    Result<> outcome;
    if (edited) {
      snapshot_ = std::make_shared<const grid::Listing>(std::move(edited->listing));
      fresh_until_ = Clock::now() + ttl_;
    } else {
      outcome = std::unexpected(std::move(edited).error());
      fresh_until_ = TimePoint{};
    }
    for (std::size_t i = 0; i < batch.size(); ++i) pending_.pop_front();
    lay_over();
    for (const auto& pending : batch) {
      pending->outcome = outcome;
      pending->settled.notify();
    }
  }
}

Task<Result<std::vector<grid::Conflict>>> CachedDirectory::publish(
    std::vector<grid::Edit> edits, grid::EditOptions options,
    std::optional<std::size_t>* failed_edit) {
  auto edited = co_await on_grid_->edit(std::move(edits), std::move(options), failed_edit);
  if (!edited) {
    fresh_until_ = TimePoint{};
    co_return std::unexpected(std::move(edited).error());
  }
  snapshot_ = std::make_shared<const grid::Listing>(std::move(edited->listing));
  fresh_until_ = Clock::now() + ttl_;
  lay_over();
  co_return std::move(edited->conflicts);
}

void CachedDirectory::assume(const grid::Cap& cap, const std::vector<Child>& children) {
  if (snapshot_) return;
  grid::TableKind kind;
  if (const auto* writable = cap.as<grid::MutableWriteCap>()) kind.write_key = writable->write_key;
  grid::Entries entries(kind);
  for (const auto& child : children)
    entries.set(child.name, grid::ChildCaps::of(child.cap, child.read_cap), child.metadata);
  snapshot_ = std::make_shared<const grid::Listing>(grid::VersionId{}, entries.packed());
  fresh_until_ = Clock::now() + ttl_;
  lay_over();
}

Task<> CachedDirectory::close() {
  co_await publishing_.join();
  updates_.cancel();
  co_await updates_.join();
}

}  // namespace lafs::cache
