// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/directory.h"

#include "grid/caps/keys.h"
#include "grid/directory/edits.h"
#include "grid/directory/entries.h"

namespace lafs::grid {

namespace {

// Unpacking a bigger table takes longer than going to another thread and back.
constexpr std::size_t inline_table = 8 * 1024;

TableKind kind_of(const MutableFile& file) {
  TableKind kind;
  if (const auto* cap = file.cap().as<MutableWriteCap>()) kind.write_key = cap->write_key;
  return kind;
}

Result<std::vector<Child>> unpack_children(Bytes table, const TableKind& kind) {
  TRY(entries, Entries::unpack(std::move(table), kind));
  return children_of(entries);
}

Task<Result<Listing>> listing_of(Pool& pool, VersionId version, Bytes table, TableKind kind) {
  Result<std::vector<Child>> children;
  if (table.size() <= inline_table) {
    children = unpack_children(std::move(table), kind);
  } else {
    auto work = [&] { return unpack_children(std::move(table), kind); };
    children = co_await offload(pool, std::ref(work));
  }
  if (!children) co_return std::unexpected(children.error());
  co_return Listing{version, std::move(*children)};
}

}  // namespace

const Child* Listing::find(std::string_view name) const {
  const auto normalised = normalise_name(name);
  if (!normalised) return nullptr;
  const auto it = std::ranges::lower_bound(children, *normalised, {}, &Child::name);
  return it != children.end() && it->name == *normalised ? &*it : nullptr;
}

Directory::Directory(std::shared_ptr<MutableFile> file, Pool& pool)
    : file_(std::move(file)), pool_(pool) {}

Directory::Directory(Bytes immutable_contents, Pool& pool)
    : immutable_(std::move(immutable_contents)), pool_(pool) {}

bool Directory::writable() const { return file_ && file_->writable(); }

Task<Result<Listing>> Directory::list() {
  if (!file_) {
    TableKind kind;
    kind.immutable = true;
    co_return co_await listing_of(pool_, VersionId{}, immutable_, kind);
  }
  auto read = co_await file_->read();
  if (!read) co_return std::unexpected(read.error());
  co_return co_await listing_of(pool_, read->version, std::move(read->contents), kind_of(*file_));
}

Task<Result<Listing>> Directory::edit(std::vector<Edit> edits, double now) {
  if (!writable()) co_return fail(Errc::read_only, "the directory");
  const auto kind = kind_of(*file_);
  EditBatch batch(std::move(edits), now);
  std::optional<Entries> result;
  // Runs while modify() is awaited, so the references hold.
  MutableFile::Change change = [&](ByteView old) -> Result<std::optional<Bytes>> {
    TRY(table, Entries::unpack(to_bytes(old), kind));
    TRY(changed, batch.apply(std::move(table)));
    auto packed = changed.pack();
    result.emplace(std::move(changed));
    if (equal(packed, old)) return std::optional<Bytes>();
    return std::optional<Bytes>(std::move(packed));
  };
  auto version = co_await file_->modify(std::move(change));
  if (!version) co_return std::unexpected(version.error());
  if (!result) co_return fail(Errc::internal, "directory: an edit was never applied");
  Listing listing{*version, {}};
  if (result->all().size() <= 64) {
    listing.children = children_of(*result);
  } else {
    auto work = [&] { return children_of(*result); };
    listing.children = co_await offload(pool_, std::ref(work));
  }
  co_return listing;
}

Task<Result<Cap>> Directory::create(asio::any_io_executor executor, MutableContext context,
                                    MutableFormat format, RsaPrivateKey key,
                                    std::vector<Child> children) {
  TableKind kind;
  kind.write_key = write_key_of(key.pkcs8());
  Entries table(kind);
  for (const auto& child : children) {
    CO_TRY(name, normalise_name(child.name));
    const auto caps = ChildCaps::of(child.cap, child.read_cap);
    if (auto why = caps.unstorable(false)) co_return fail(Errc::bad_cap, name + ": " + *why);
    table.set(name, caps, child.metadata);
  }
  auto made = co_await MutableFile::create(std::move(executor), context, format, table.pack(),
                                           std::move(key));
  if (!made) co_return std::unexpected(made.error());
  co_return Cap(*made->as<MutableWriteCap>(), true);
}

Result<Bytes> pack_immutable(const std::vector<Child>& children) {
  TableKind kind;
  kind.immutable = true;
  Entries table(kind);
  for (const auto& child : children) {
    TRY(name, normalise_name(child.name));
    if (child.cap.is_unknown() && child.cap != child.read_cap) {
      return fail(Errc::bad_cap, name + ": not immutable as far as we know");
    }
    const auto caps = ChildCaps::make({}, child.cap.text(), true);
    if (auto why = caps.unstorable(true)) return fail(Errc::bad_cap, name + ": " + *why);
    table.set(name, caps, child.metadata);
  }
  return table.pack();
}

}  // namespace lafs::grid
