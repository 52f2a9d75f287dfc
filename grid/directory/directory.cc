// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/directory.h"

#include "grid/caps/keys.h"
#include "grid/directory/names.h"

namespace lafs::grid {

namespace {

// Unpacking a bigger table takes longer than going to another thread and back.
constexpr std::size_t inline_table = 32 * 1024;

TableKind kind_of(const Cap& cap) {
  TableKind kind;
  if (const auto* write = cap.as<MutableWriteCap>()) kind.write_key = write->write_key;
  return kind;
}

TableKind immutable_kind() {
  TableKind kind;
  kind.immutable = true;
  return kind;
}

Result<Listing> unpack_listing(VersionId version, std::shared_ptr<const Bytes> table,
                               const TableKind& kind) {
  TRY(entries, Entries::unpack(std::move(table), kind));
  return Listing(version, std::move(entries));
}

}  // namespace

Directory::Directory(std::shared_ptr<MutableFile> file, Pool& pool)
    : Directory(file, file->cap(), pool) {}

Directory::Directory(std::shared_ptr<MutableFile> file, const Cap& cap, Pool& pool)
    : file_(std::move(file)), pool_(pool), kind_(kind_of(cap)) {}

Directory::Directory(Bytes immutable_contents, Pool& pool)
    : immutable_(std::make_shared<const Bytes>(std::move(immutable_contents))),
      pool_(pool),
      kind_(immutable_kind()) {}

bool Directory::writable() const { return file_ && kind_.write_key && file_->writable(); }

Task<Result<Listing>> Directory::listing_of(VersionId version, std::shared_ptr<const Bytes> table) {
  if (table->size() <= inline_table) co_return unpack_listing(version, std::move(table), kind_);
  auto work = [&] { return unpack_listing(version, std::move(table), kind_); };
  co_return co_await offload(pool_, std::ref(work));
}

Task<Result<Listing>> Directory::list() {
  if (!file_) co_return co_await listing_of(VersionId{}, immutable_);
  auto read = co_await file_->read();
  if (!read) co_return std::unexpected(read.error());
  if (read->version == last_.version) co_return last_;
  auto listing = co_await listing_of(read->version, std::move(read->bytes));
  if (listing) last_ = *listing;
  co_return listing;
}

Task<Result<Edited>> Directory::edit(std::vector<Edit> edits, EditOptions options,
                                     std::optional<std::size_t>* failed_edit) {
  if (!writable()) co_return fail(Errc::read_only, "the directory");
  EditBatch batch(std::move(edits), std::move(options));
  std::optional<Listing> result;
  const Listing last = last_;
  // Runs while modify() is awaited, so the references hold; on another thread when the table is
  // large, but one call at a time.
  MutableFile::Change change =
      [&](const MutableContents& old) -> Result<std::shared_ptr<const Bytes>> {
    const bool known = old.version == last.version && old.version.seqnum > 0;
    Result<Entries> table = last.entries();
    if (!known) table = Entries::unpack(old.bytes, kind_);
    if (!table) return std::unexpected(table.error());
    auto applied = batch.apply(std::move(*table));
    if (!applied) {
      if (failed_edit) *failed_edit = batch.failed_at();
      return std::unexpected(applied.error());
    }
    auto& changed = *applied;
    auto packed = changed.packed();
    auto bytes = packed.bytes();
    result.emplace(VersionId{}, std::move(packed));
    if (*bytes == *old.bytes) return std::shared_ptr<const Bytes>();
    return bytes;
  };
  auto version = co_await file_->modify(std::move(change));
  if (!version) co_return std::unexpected(version.error());
  if (!result) co_return fail(Errc::internal, "directory: an edit was never applied");
  result->version = *version;
  last_ = *result;
  co_return Edited{std::move(*result), batch.conflicts()};
}

Task<Result<Cap>> Directory::create(asio::any_io_executor executor, MutableContext context,
                                    MutableFormat format, RsaPrivateKey key,
                                    std::vector<Child> children) {
  TableKind kind;
  kind.write_key = write_key_of(key.pkcs8());
  CO_TRY(table, table_of(children, std::move(kind)));
  auto made = co_await MutableFile::create(std::move(executor), context, format, table.pack(),
                                           std::move(key));
  if (!made) co_return std::unexpected(made.error());
  co_return Cap(*made->as<MutableWriteCap>(), true);
}

Result<Entries> table_of(const std::vector<Child>& children, TableKind kind) {
  const bool immutable = kind.immutable;
  Entries::Maker maker(std::move(kind), children.size());
  for (const auto& child : children) {
    TRY(name, normalise_name(child.name));
    const auto& cap = child.cap;
    if (!immutable && !cap.is_unknown() && !cap.is_verifier()) {
      // The rule, and all that ChildCaps would say of it.
      const auto text = cap.text();
      const bool writable = cap.as<MutableWriteCap>() != nullptr;
      maker.add(name, writable ? text : std::string_view(),
                writable ? cap.read_only()->text() : text, child.metadata.text());
      continue;
    }
    if (immutable && cap.is_unknown() && cap != child.read_cap) {
      return fail(Errc::bad_cap, name + ": not immutable as far as we know");
    }
    const auto caps =
        immutable ? ChildCaps::make({}, cap.text(), true) : ChildCaps::of(cap, child.read_cap);
    if (auto why = caps.unstorable(immutable)) return fail(Errc::bad_cap, name + ": " + *why);
    maker.add(name, caps.rw, caps.stored_ro(immutable), child.metadata.text());
  }
  return std::move(maker).take();
}

Result<Bytes> pack_immutable(const std::vector<Child>& children) {
  TRY(table, table_of(children, immutable_kind()));
  return table.pack();
}

}  // namespace lafs::grid
