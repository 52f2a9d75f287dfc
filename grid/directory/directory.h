// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory: a table of named caps in a mutable file, or in an immutable one (spec/mutable 8).
// I/O thread only. Names are UTF-8 and become NFC on their way in; look-ups normalise too.

#include <functional>
#include <memory>
#include <variant>

#include "grid/base/offload.h"
#include "grid/directory/metadata.h"
#include "grid/directory/names.h"
#include "grid/mutable/mutable_file.h"

namespace lafs::grid {

struct Child {
  std::string name;
  Cap cap;       // the strongest we have; UnknownCap for what we do not understand, or verifiers
  Cap read_cap;  // what readers of the directory have; equal to cap for immutable children
  Metadata metadata;
  bool operator==(const Child&) const = default;
};

struct Listing {
  VersionId version;            // of the mutable file; all zero for immutable directories
  std::vector<Child> children;  // by name, in code point order

  const Child* find(std::string_view name) const;
};

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
    std::optional<Cap> expected = std::nullopt;
    // Only for unknown caps, which do not tell their read-only form.
    std::optional<Cap> read_cap = std::nullopt;
  };
  // Errc::not_found with must_exist; conflict when the child is not `expected`.
  struct Remove {
    std::string name;
    bool must_exist = true;
    std::optional<Cap> expected = std::nullopt;
  };
  // Keeps the user's metadata; the link times start anew (spec/mutable 8.5). Replacing is allowed
  // as `overwrite` says. Errc::not_found when there is no `from`.
  struct Rename {
    std::string from;
    std::string to;
    Overwrite overwrite = Overwrite::always;
  };
  // `change` gets the present metadata and returns the new; it may be called several times.
  // Errc::not_found when there is no such child.
  struct SetMetadata {
    std::string name;
    std::function<Metadata(Metadata)> change;
  };

  std::variant<Set, Remove, Rename, SetMetadata> what;

  Edit(Set e) : what(std::move(e)) {}
  Edit(Remove e) : what(std::move(e)) {}
  Edit(Rename e) : what(std::move(e)) {}
  Edit(SetMetadata e) : what(std::move(e)) {}
};

class Directory {
 public:
  // The one of a directory cap; the file may be shared, and is closed by its owner.
  Directory(std::shared_ptr<MutableFile> file, Pool& pool);
  // The contents of a DIR2-CHK or DIR2-LIT.
  Directory(Bytes immutable_contents, Pool& pool);

  bool writable() const;

  // corrupt: the table cannot be read at all. Single children that may not be where they are, are
  // left out.
  Task<Result<Listing>> list();
  // All edits in one publish, applied again to fresh contents after a collision; returns what the
  // directory holds then, without reading again. `now`: seconds since 1970, for the link times.
  // read_only for directories we cannot write; otherwise the edits' errors and the file's.
  Task<Result<Listing>> edit(std::vector<Edit> edits, double now);

  // Publishes a new mutable directory that holds `children`, their metadata exactly as given.
  // Returns the directory's write cap.
  static Task<Result<Cap>> create(asio::any_io_executor executor, MutableContext context,
                                  MutableFormat format, RsaPrivateKey key,
                                  std::vector<Child> children = {});

 private:
  std::shared_ptr<MutableFile> file_;  // null for immutable ones
  Bytes immutable_;
  Pool& pool_;
};

// The contents of an immutable directory; as a literal cap when at most 55 bytes, else to be
// stored as an ordinary immutable file. Errc::bad_cap for a child that is not deeply immutable.
Result<Bytes> pack_immutable(const std::vector<Child>& children);

}  // namespace lafs::grid
