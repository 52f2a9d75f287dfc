// SPDX-License-Identifier: Apache-2.0
#pragma once

// TYPE A: lines end with LF here and with CR LF on the wire, and sizes and restart positions count
// the bytes of the wire (RFC 3659, 4 and 5). What goes out and comes back is the same again,
// whatever it is. Plain.

#include <cstdint>
#include <optional>

#include "grid/base/bytes.h"

namespace lafs::ftp {

// Every LF becomes CR LF, also behind a CR.
class ToWire {
 public:
  // `skip`: bytes of the wire that are left out at the beginning (REST).
  explicit ToWire(std::uint64_t skip = 0) : skip_(skip) {}
  // What `file` adds to the wire; `out` is cleared first.
  void translate(ByteView file, Bytes& out);

 private:
  std::uint64_t skip_;
};

// Every CR LF becomes LF; a CR that stands alone stays.
class FromWire {
 public:
  void translate(ByteView wire, Bytes& out);
  // Call at the end: a CR may still be held back.
  void finish(Bytes& out);

 private:
  bool held_return_ = false;
};

// How long a file is on the wire, and where a position of the wire is in the file. Fed with the
// file from its beginning.
class WireCount {
 public:
  void add(ByteView file);
  std::uint64_t wire_size() const { return wire_; }

  // How many bytes of `file`, which follows what was added, make `wanted` more bytes of the wire;
  // all of them when it has not that many. Nothing when `wanted` ends between a CR and its LF.
  static std::optional<std::uint64_t> file_bytes(ByteView file, std::uint64_t& wanted);

 private:
  std::uint64_t wire_ = 0;
};

}  // namespace lafs::ftp
