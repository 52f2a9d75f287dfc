// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/edits.h"

#include "grid/base/log.h"

namespace lafs::grid {

namespace {

// Nothing: there is no child, or one that may not be shown and so may be replaced.
std::optional<ChildCaps> shown(const Entries& table, std::string_view name) {
  const Entry* entry = table.find(name);
  if (!entry) return std::nullopt;
  auto caps = table.caps(*entry);
  if (caps.problem) return std::nullopt;
  return caps;
}

Result<> may_replace(const std::optional<ChildCaps>& present, Overwrite overwrite,
                     const std::string& name) {
  if (!present || overwrite == Overwrite::always) return {};
  if (overwrite == Overwrite::never) return fail(Errc::exists, name);
  if (present->cap.is_directory()) return fail(Errc::exists, name + " is a directory");
  return {};
}

}  // namespace

Result<Entries> EditBatch::apply(Entries table) {
  for (std::size_t i = 0; i < edits_.size(); ++i) {
    auto done =
        std::visit([&](const auto& edit) { return apply_one(i, table, edit); }, edits_[i].what);
    if (!done) return std::unexpected(done.error());
  }
  again_ = true;
  return table;
}

Result<> EditBatch::apply_one(std::size_t index, Entries& table, const Edit::Set& edit) {
  TRY(name, normalise_name(edit.name));
  auto caps = ChildCaps::of(edit.cap, edit.read_cap);
  if (auto why = caps.unstorable(false)) return fail(Errc::bad_cap, name + ": " + *why);
  const auto present = shown(table, name);
  const auto mine = stored_.find(index);
  const bool landed = again_ && present && mine != stored_.end() && present->cap == mine->second;
  if (!landed) {
    TRY_DO(may_replace(present, edit.overwrite, name));
    if (present && edit.expected && present->cap != *edit.expected) {
      return fail(Errc::conflict, name + " was changed by somebody else");
    }
  }
  std::optional<Metadata> old;
  if (const Entry* entry = table.find(name)) old = entry->metadata;
  const auto metadata = Metadata::updated(old, edit.metadata, now_);
  if (metadata.no_write()) caps = caps.read_only();
  stored_.insert_or_assign(index, caps.cap);
  table.set(name, caps, metadata);
  return {};
}

Result<> EditBatch::apply_one(std::size_t, Entries& table, const Edit::Remove& edit) {
  TRY(name, normalise_name(edit.name));
  if (!table.find(name)) {
    if (edit.must_exist && !again_) return fail(Errc::not_found, name);
    return {};
  }
  const auto present = shown(table, name);
  if (edit.expected && (!present || present->cap != *edit.expected)) {
    return fail(Errc::conflict, name + " was changed by somebody else");
  }
  table.remove(name);
  return {};
}

Result<> EditBatch::apply_one(std::size_t index, Entries& table, const Edit::Rename& edit) {
  TRY(from, normalise_name(edit.from));
  TRY(to, normalise_name(edit.to));
  const Entry* source = table.find(from);
  const auto target = shown(table, to);
  if (!source) {
    const auto mine = stored_.find(index);
    const bool landed = again_ && target && mine != stored_.end() && target->cap == mine->second;
    if (!landed) return fail(Errc::not_found, from);
    return {};
  }
  if (from == to) return {};
  TRY_DO(may_replace(target, edit.overwrite, to));
  std::optional<Metadata> old;
  if (const Entry* entry = table.find(to)) old = entry->metadata;
  const auto metadata = Metadata::updated(old, source->metadata, now_);
  stored_.insert_or_assign(index, table.caps(*source).cap);
  table.set_like(to, *source, metadata);
  table.remove(from);
  return {};
}

Result<> EditBatch::apply_one(std::size_t, Entries& table, const Edit::SetMetadata& edit) {
  TRY(name, normalise_name(edit.name));
  const Entry* entry = table.find(name);
  if (!entry) return fail(Errc::not_found, name);
  const auto metadata = Metadata::updated(entry->metadata, edit.change(entry->metadata), now_);
  const auto caps = table.caps(*entry);
  if (metadata.no_write() && !caps.problem) {
    table.set(name, caps.read_only(), metadata);
  } else {
    table.set_like(name, *entry, metadata);
  }
  return {};
}

std::vector<Child> children_of(const Entries& table) {
  std::vector<Child> out;
  out.reserve(table.all().size());
  for (const auto& [name, entry] : table.all()) {
    auto caps = table.caps(entry);
    if (caps.problem) {
      log::info("directory: left out a child: " + *caps.problem);
      continue;
    }
    out.push_back({name, std::move(caps.cap), std::move(caps.read_cap), entry.metadata});
  }
  return out;
}

}  // namespace lafs::grid
