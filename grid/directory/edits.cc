// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/edits.h"

#include <time.h>

#include "grid/directory/names.h"

namespace lafs::grid {

namespace {

constexpr std::size_t longest_name = 255;

// Nothing: there is no child, or one that may not be shown and so may be replaced.
std::optional<ChildCaps> shown(const Entries& table, std::string_view name) {
  const auto entry = table.find(name);
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

std::string conflict_mark(const std::string& host) { return ".conflict-" + host + "-"; }

// At most `most` bytes of it, without half a character at the end.
std::string_view cut(std::string_view name, std::size_t most) {
  if (name.size() <= most) return name;
  while (most > 0 && (static_cast<unsigned char>(name[most]) & 0xC0) == 0x80) --most;
  return name.substr(0, most);
}

}  // namespace

std::string conflict_name(std::string_view name, const EditOptions& options,
                          const std::function<bool(std::string_view)>& taken) {
  const auto seconds = static_cast<time_t>(options.now);
  struct tm utc{};
  ::gmtime_r(&seconds, &utc);
  char stamp[32];
  const auto length = ::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
  const auto mark = conflict_mark(std::string(cut(options.host, 64))) + std::string(stamp, length);
  for (int i = 1;; ++i) {
    const auto end = i == 1 ? mark : mark + "-" + std::to_string(i);
    auto out = std::string(cut(name, longest_name - end.size())) + end;
    if (!taken(out)) return out;
  }
}

Result<Entries> EditBatch::apply(Entries table) {
  conflicts_.clear();
  aside_.clear();
  for (std::size_t i = 0; i < edits_.size(); ++i) {
    auto done =
        std::visit([&](const auto& edit) { return apply_one(i, table, edit); }, edits_[i].what);
    if (!done) {
      failed_at_ = i;
      return std::unexpected(done.error());
    }
  }
  again_ = true;
  return table;
}

std::string EditBatch::put_aside(std::size_t index, const Entries& table, const std::string& name,
                                 const Cap& cap, Conflict::What what) {
  // An earlier attempt, or an earlier life of ours, may have put the same content aside already.
  const auto mark = std::string(cut(name, longest_name - 100)) +
                    conflict_mark(std::string(cut(options_.host, 64)));
  std::string aside;
  if (const auto it = chosen_.find(index); it != chosen_.end()) {
    const auto present = shown(table, it->second);
    const bool ours = present && std::ranges::any_of(stored_, [&](const auto& stored) {
                        return stored.second == present->cap;
                      });
    if (!present || ours) aside = it->second;
  }
  for (auto at = table.name_from(mark); aside.empty() && at && at->starts_with(mark);) {
    const auto caps = shown(table, *at);
    if (caps && caps->cap == cap) {
      aside = *at;
      break;
    }
    at = table.name_from(std::string(*at) + '\0');
  }
  if (aside.empty()) {
    aside = conflict_name(name, options_,
                          [&](std::string_view n) { return table.find(n).has_value(); });
  }
  chosen_.insert_or_assign(index, aside);
  conflicts_.push_back({index, what, name, aside});
  aside_.insert_or_assign(name, std::pair(aside, cap));
  return aside;
}

std::string EditBatch::now_at(const std::string& name, const std::optional<Cap>& cap) const {
  const auto it = aside_.find(name);
  return cap && it != aside_.end() && it->second.second == *cap ? it->second.first : name;
}

Result<> EditBatch::apply_one(std::size_t index, Entries& table, const Edit::Set& edit) {
  TRY(name, normalise_name(edit.name));
  auto caps = ChildCaps::of(edit.cap, edit.read_cap);
  if (auto why = caps.unstorable(false)) return fail(Errc::bad_cap, name + ": " + *why);
  if (edit.merge) name = now_at(name, edit.expected);
  const auto present = shown(table, name);
  const auto mine = stored_.find(index);
  const bool landed = again_ && present && mine != stored_.end() && present->cap == mine->second;
  const bool as_seen = present && ((edit.expected && present->cap == *edit.expected) ||
                                   std::ranges::count(edit.ours, present->cap) > 0);
  if (edit.merge && present && !landed && !as_seen) {
    if (present->cap == caps.cap) return {};
    name = put_aside(index, table, name, caps.cap, Conflict::What::both_changed);
  } else if (!edit.merge && !landed) {
    TRY_DO(may_replace(present, edit.overwrite, name));
    if (present && edit.expected && !as_seen) {
      return fail(Errc::conflict, name + " was changed by somebody else");
    }
  }
  std::optional<Metadata> old;
  if (const auto entry = table.find(name)) old = entry->metadata();
  const auto metadata = edit.keep_link_times && edit.metadata
                            ? *edit.metadata
                            : Metadata::updated(old, edit.metadata, options_.now);
  if (metadata.no_write()) caps = caps.read_only();
  stored_.insert_or_assign(index, caps.cap);
  table.set(name, caps, metadata);
  return {};
}

Result<> EditBatch::apply_one(std::size_t index, Entries& table, const Edit::Remove& edit) {
  TRY(name, normalise_name(edit.name));
  if (edit.merge) name = now_at(name, edit.expected);
  if (!table.find(name)) {
    if (edit.must_exist && !edit.merge && !again_) return fail(Errc::not_found, name);
    return {};
  }
  const auto present = shown(table, name);
  const bool as_seen = present && ((edit.expected && present->cap == *edit.expected) ||
                                   std::ranges::count(edit.ours, present->cap) > 0);
  if (edit.expected && !as_seen) {
    if (!edit.merge) return fail(Errc::conflict, name + " was changed by somebody else");
    conflicts_.push_back({index, Conflict::What::theirs_stays, name, {}});
    return {};
  }
  table.remove(name);
  return {};
}

Result<> EditBatch::apply_one(std::size_t index, Entries& table, const Edit::Rename& edit) {
  TRY(from, normalise_name(edit.from));
  TRY(to, normalise_name(edit.to));
  if (edit.merge) from = now_at(from, edit.expected);
  auto source = table.find(from);
  const auto target = shown(table, to);
  const auto is = [&](const std::optional<ChildCaps>& child, const std::optional<Cap>& cap) {
    return child && cap && child->cap == *cap;
  };
  if (!source) {
    const auto mine = stored_.find(index);
    const bool landed = again_ && target && mine != stored_.end() && target->cap == mine->second;
    if (landed || (edit.merge && is(target, edit.expected))) return {};
    if (!edit.merge || !edit.expected) return fail(Errc::not_found, from);
    const auto caps = ChildCaps::of(*edit.expected);
    if (auto why = caps.unstorable(false)) return fail(Errc::bad_cap, from + ": " + *why);
    const bool free = !target || is(target, edit.expected_target);
    if (free) {
      conflicts_.push_back({index, Conflict::What::source_gone, from, to});
    } else {
      to = put_aside(index, table, to, caps.cap, Conflict::What::name_taken);
    }
    stored_.insert_or_assign(index, caps.cap);
    table.set(to, caps, edit.metadata.value_or(Metadata::updated({}, {}, options_.now)));
    return {};
  }
  if (from == to) return {};
  const auto source_caps = table.caps(*source);
  if (!edit.merge) {
    TRY_DO(may_replace(target, edit.overwrite, to));
  } else if (target && !is(target, edit.expected_target) && target->cap != source_caps.cap) {
    to = put_aside(index, table, to, source_caps.cap, Conflict::What::name_taken);
  }
  stored_.insert_or_assign(index, source_caps.cap);
  table.set_like(to, *source, source->metadata_text);
  table.remove(from);
  return {};
}

Result<> EditBatch::apply_one(std::size_t, Entries& table, const Edit::SetMetadata& edit) {
  TRY(name, normalise_name(edit.name));
  const auto entry = table.find(name);
  if (!entry) {
    if (!edit.must_exist) return {};
    return fail(Errc::not_found, name);
  }
  const auto old = entry->metadata();
  const auto metadata = Metadata::updated(old, edit.change(old), options_.now);
  const auto caps = table.caps(*entry);
  if (metadata.no_write() && !caps.problem) {
    table.set(name, caps.read_only(), metadata);
  } else {
    table.set_like(name, *entry, metadata.text());
  }
  return {};
}

}  // namespace lafs::grid
