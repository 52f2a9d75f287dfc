// SPDX-License-Identifier: Apache-2.0
#pragma once

// A directory: a table of named caps in a mutable file, or in an immutable one (spec/mutable 8).
// I/O thread only. Names are UTF-8 and become NFC on their way in; look-ups normalise too.

#include <memory>

#include "grid/base/offload.h"
#include "grid/directory/edits.h"
#include "grid/directory/listing.h"
#include "grid/directory/names.h"
#include "grid/mutable/mutable_file.h"

namespace lafs::grid {

// What a directory holds after edits, and where they met somebody else's.
struct Edited {
  Listing listing;
  std::vector<Conflict> conflicts;
};

class Directory {
 public:
  // The file may be shared, and is closed by its owner. Through `cap`, or the file's own.
  Directory(std::shared_ptr<MutableFile> file, Pool& pool);
  Directory(std::shared_ptr<MutableFile> file, const Cap& cap, Pool& pool);
  // The contents of a DIR2-CHK or DIR2-LIT.
  Directory(Bytes immutable_contents, Pool& pool);

  bool writable() const;

  // corrupt: the table cannot be read at all. Single children that may not be where they are, are
  // left out.
  Task<Result<Listing>> list();
  // All edits in one publish, applied again to fresh contents after a collision; returns what the
  // directory holds then, without reading again. read_only for directories we cannot write;
  // otherwise the edits' errors and the file's.
  // `failed_edit`, when given, says which edit an error is about; it outlives the task.
  Task<Result<Edited>> edit(std::vector<Edit> edits, EditOptions options,
                            std::optional<std::size_t>* failed_edit = nullptr);

  // Publishes a new mutable directory that holds `children`, their metadata exactly as given.
  // Returns the directory's write cap.
  static Task<Result<Cap>> create(asio::any_io_executor executor, MutableContext context,
                                  MutableFormat format, RsaPrivateKey key,
                                  std::vector<Child> children = {});

 private:
  Task<Result<Listing>> listing_of(VersionId version, std::shared_ptr<const Bytes> table);

  std::shared_ptr<MutableFile> file_;  // null for immutable ones
  std::shared_ptr<const Bytes> immutable_;
  Pool& pool_;
  TableKind kind_;
  Listing last_;  // what was read or published last: the same version is not unpacked again
};

// A table that holds `children`, their metadata exactly as given. bad_name, bad_cap.
Result<Entries> table_of(const std::vector<Child>& children, TableKind kind);

// The contents of an immutable directory; as a literal cap when at most 55 bytes, else to be
// stored as an ordinary immutable file. Errc::bad_cap for a child that is not deeply immutable.
Result<Bytes> pack_immutable(const std::vector<Child>& children);

}  // namespace lafs::grid
