// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a directory says about a child besides its cap: a JSON object (spec/mutable 8.5). Tahoe
// keeps its own times under "tahoe"; we keep POSIX facts under "lafs"; everything else belongs to
// whoever wrote it and survives our edits.

#include <time.h>

#include <map>
#include <optional>

#include "grid/base/bytes.h"
#include "grid/directory/json.h"

namespace lafs::grid {

// What a POSIX file has that Tahoe's formats do not express. Absent members were never set.
struct PosixFacts {
  enum class Kind : std::uint8_t { file, symlink, fifo, socket };

  // A symlink's cap is a literal holding its target. Directories say what they are by their cap.
  Kind kind = Kind::file;
  std::optional<std::uint32_t> mode;  // permission, set-id and sticky bits: 07777
  std::optional<std::uint32_t> uid, gid;
  std::optional<timespec> mtime, atime, ctime;
  std::map<std::string, Bytes> xattrs;

  bool operator==(const PosixFacts&) const;
};

class Metadata {
 public:
  Metadata() = default;  // {}
  explicit Metadata(Json::Object object) : object_(std::move(object)) {}
  // Errc::corrupt unless it is a JSON object.
  static Result<Metadata> parse(std::string_view json);

  const Json::Object& object() const { return object_; }
  Json::Object& object() { return object_; }
  std::string text() const;  // as Python's json.dumps prints it

  // What a link's metadata becomes when it is added or changed at `now` (seconds since 1970): the
  // `given` replaces all but "tahoe", in which linkcrtime is kept and linkmotime becomes now.
  static Metadata updated(const std::optional<Metadata>& old, const std::optional<Metadata>& given,
                          double now);

  // The link is to lose its write authority when it is stored.
  bool no_write() const;
  std::optional<double> link_created() const;   // tahoe.linkcrtime
  std::optional<double> link_modified() const;  // tahoe.linkmotime

  // Damaged or missing parts read as not set; never an error.
  PosixFacts posix() const;
  // Replaces the "lafs" key; facts that say nothing remove it.
  void set_posix(const PosixFacts& facts);

  bool operator==(const Metadata&) const = default;

 private:
  Json::Object object_;
};

}  // namespace lafs::grid
