// SPDX-License-Identifier: Apache-2.0
#pragma once

// Changes of a directory: a batch of edits, applied to a table as often as it takes until a publish
// of the result is uncontested. Plain: no I/O, the time is given.
//
// An edit that merges never fails because somebody else was there too. It says what its maker saw
// (`expected`), and what happens follows from that and from what is there now:
//
//   ours                 theirs                   outcome
//   set to X             unchanged, or removed    X
//   set to X             changed to Y             Y keeps the name, X gets a conflict name
//   set to X             changed to X             nothing to do
//   remove               unchanged, or removed    removed
//   remove               changed to Y             Y stays
//   rename a -> b        a changed to Y           Y at b
//   rename a -> b        a removed                what a was, at b
//   rename a -> b        b taken                  theirs keeps b, ours gets a conflict name
//   metadata only        content changed          their content, our metadata

#include <functional>
#include <map>
#include <variant>

#include "grid/directory/listing.h"

namespace lafs::grid {

enum class Overwrite : std::uint8_t { always, never, only_files };

// One change of a directory. A batch is applied in order, all or nothing.
struct Edit {
  // Adds or replaces. `metadata` absent: the old child's stays. Errc::exists as `overwrite` says;
  // Errc::conflict when there is a child now that is not `expected` (an expected child that is
  // gone is no conflict); bad_cap for caps that may not be stored.
  struct Set {
    std::string name;
    Cap cap;
    std::optional<Metadata> metadata = std::nullopt;
    Overwrite overwrite = Overwrite::always;
    // With `merge`: what was there when the edit was made; nothing: there was no such child.
    std::optional<Cap> expected = std::nullopt;
    // Only for unknown caps, which do not tell their read-only form.
    std::optional<Cap> read_cap = std::nullopt;
    bool merge = false;  // then `overwrite` does not matter
    // With `merge`: what earlier attempts of this node may have left there; as good as `expected`.
    std::vector<Cap> ours{};
    // The metadata are stored as they are, link times included: for a child that moves here.
    bool keep_link_times = false;
  };
  // Errc::not_found with must_exist; conflict when the child is not `expected`. With `merge`
  // neither, and without `expected` whatever is there is removed.
  struct Remove {
    std::string name;
    bool must_exist = true;
    std::optional<Cap> expected = std::nullopt;
    bool merge = false;
    std::vector<Cap> ours{};  // as with Set
  };
  // The child as it is, under another name. Replacing is allowed as `overwrite` says.
  // Errc::not_found when there is no `from`.
  struct Rename {
    std::string from;
    std::string to;
    Overwrite overwrite = Overwrite::always;
    bool merge = false;
    // With `merge`: what was at `from` and `to` when the edit was made. With `metadata`, those are
    // for the case that somebody removed `from`.
    std::optional<Cap> expected = std::nullopt;
    std::optional<Cap> expected_target = std::nullopt;
    std::optional<Metadata> metadata = std::nullopt;
  };
  // `change` gets the present metadata and returns the new; it may be called several times, on any
  // thread. Errc::not_found when there is no such child, unless must_exist is false.
  struct SetMetadata {
    std::string name;
    std::function<Metadata(Metadata)> change;
    bool must_exist = true;
  };

  std::variant<Set, Remove, Rename, SetMetadata> what;

  Edit(Set e) : what(std::move(e)) {}
  Edit(Remove e) : what(std::move(e)) {}
  Edit(Rename e) : what(std::move(e)) {}
  Edit(SetMetadata e) : what(std::move(e)) {}
};

// What became of a merging edit that met somebody else's.
struct Conflict {
  enum class What : std::uint8_t {
    both_changed,  // theirs has the name, ours is at `kept_as`
    theirs_stays,  // we removed what they changed
    name_taken,    // of a rename: ours is at `kept_as`
    source_gone,   // of a rename: they removed what we renamed; it is back, at `kept_as`
  };
  std::size_t edit = 0;  // which of the batch
  What what = What::both_changed;
  std::string name;
  std::string kept_as;  // empty: nothing of ours had to be kept
  bool operator==(const Conflict&) const = default;
};

struct EditOptions {
  double now = 0;                     // seconds since 1970, for the link times and conflict names
  std::string host = "another-node";  // whose edits these are, in conflict names
};

// "notes.txt" -> "notes.txt.conflict-HOST-20261125T081500Z", at most 255 bytes, with a number
// behind it while `taken` says so.
std::string conflict_name(std::string_view name, const EditOptions& options,
                          const std::function<bool(std::string_view)>& taken);

class EditBatch {
 public:
  EditBatch(std::vector<Edit> edits, EditOptions options)
      : edits_(std::move(edits)), options_(std::move(options)) {}

  // All or nothing: the table after all edits, or the first one's error. On a later call an edit
  // that our own earlier attempt brought about counts as done: that attempt's shares may have won
  // although we were told of a collision.
  Result<Entries> apply(Entries table);
  // Of the last apply().
  const std::vector<Conflict>& conflicts() const { return conflicts_; }
  // Which edit the last apply() failed at.
  std::size_t failed_at() const { return failed_at_; }

 private:
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Set& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Remove& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::Rename& edit);
  Result<> apply_one(std::size_t index, Entries& table, const Edit::SetMetadata& edit);
  // Where a child that merges is put instead of `name`, which somebody else has taken.
  std::string put_aside(std::size_t index, const Entries& table, const std::string& name,
                        const Cap& cap, Conflict::What what);
  // Where an earlier edit of this batch has put `name` with that very content.
  std::string now_at(const std::string& name, const std::optional<Cap>& cap) const;

  std::vector<Edit> edits_;
  EditOptions options_;
  bool again_ = false;
  std::size_t failed_at_ = 0;
  // What our earlier attempts stored: edit -> the strongest cap of its child.
  std::map<std::size_t, Cap> stored_;
  std::map<std::size_t, std::string> chosen_;  // edit -> the conflict name it was given
  std::vector<Conflict> conflicts_;
  std::map<std::string, std::pair<std::string, Cap>> aside_;  // name -> where it went, what it is
};

}  // namespace lafs::grid
