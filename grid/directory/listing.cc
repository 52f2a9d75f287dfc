// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/listing.h"

#include "grid/base/log.h"
#include "grid/directory/names.h"

namespace lafs::grid {

Listing::Listing() : Listing({}, Entries(TableKind())) {}

Listing::Listing(VersionId v, Entries entries)
    : version(v), entries_(std::make_shared<const Entries>(std::move(entries))) {
  std::vector<std::size_t> hidden;
  for (std::size_t i = 0; i < entries_->size(); ++i) {
    const auto entry = entries_->entry(i);
    if (entries_->plainly_good(entry)) continue;
    const auto caps = entries_->caps(entry);
    if (!caps.problem) continue;
    log::info("directory: left out a child: " + *caps.problem);
    hidden.push_back(i);
  }
  if (hidden.empty()) return;
  auto shown = std::make_shared<std::vector<std::size_t>>();
  auto next = hidden.begin();
  for (std::size_t i = 0; i < entries_->size(); ++i) {
    if (next != hidden.end() && *next == i) {
      ++next;
    } else {
      shown->push_back(i);
    }
  }
  shown_ = std::move(shown);
}

bool Listing::is_directory(std::size_t i) const {
  auto text = as_text(entries_->entry(at(i)).read_cap);
  if (text.starts_with("ro.")) text.remove_prefix(3);
  if (text.starts_with("imm.")) text.remove_prefix(4);
  return text.starts_with("URI:DIR2");
}

Child Listing::child(std::size_t i) const {
  const auto entry = entries_->entry(at(i));
  auto caps = entries_->caps(entry);
  return {std::string(name(i)), std::move(caps.cap), std::move(caps.read_cap), entry.metadata()};
}

std::optional<std::size_t> Listing::place(std::string_view name) const {
  const auto normalised = normalise_name(name);
  if (!normalised) return std::nullopt;
  const auto found = entries_->place(*normalised);
  if (!found || !shown_) return found;
  const auto it = std::ranges::lower_bound(*shown_, *found);
  if (it == shown_->end() || *it != *found) return std::nullopt;
  return static_cast<std::size_t>(it - shown_->begin());
}

std::optional<Child> Listing::find(std::string_view name) const {
  const auto found = place(name);
  if (!found) return std::nullopt;
  return child(*found);
}

std::vector<Child> Listing::children() const {
  std::vector<Child> out;
  out.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) out.push_back(child(i));
  return out;
}

}  // namespace lafs::grid
