// SPDX-License-Identifier: Apache-2.0
#pragma once

// The numbers and the basic encoding of SFTP version 3 (draft-ietf-secsh-filexfer-02). Integers are
// big-endian, a string is a length of four bytes and the bytes.

#include <cstdint>
#include <string>
#include <string_view>

#include "grid/base/bytes.h"

namespace lafs::sftp {

// A packet, its length included. OpenSSH's own limit, and some room for clients that count only the
// data of a WRITE.
inline constexpr std::size_t packet_max = 256 * 1024 + 1024;
// Of READ and WRITE. OpenSSH's client hangs up on a DATA packet that fills 256 KiB.
inline constexpr std::uint32_t data_max = 256 * 1024 - 1024;

enum class Type : std::uint8_t {
  init = 1,
  version = 2,
  open = 3,
  close = 4,
  read = 5,
  write = 6,
  lstat = 7,
  fstat = 8,
  setstat = 9,
  fsetstat = 10,
  opendir = 11,
  readdir = 12,
  remove = 13,
  mkdir = 14,
  rmdir = 15,
  realpath = 16,
  stat = 17,
  rename = 18,
  readlink = 19,
  symlink = 20,
  status = 101,
  handle = 102,
  data = 103,
  name = 104,
  attrs = 105,
  extended = 200,
  extended_reply = 201,
};

enum class Status : std::uint32_t {
  ok = 0,
  eof = 1,
  no_such_file = 2,
  permission_denied = 3,
  failure = 4,
  bad_message = 5,
  unsupported = 8,
};

namespace open_flag {
inline constexpr std::uint32_t read = 1, write = 2, append = 4, create = 8, truncate = 16,
                               exclusive = 32;
}
namespace attr_flag {
inline constexpr std::uint32_t size = 1, owner = 2, permissions = 4, times = 8,
                               extended = 0x80000000;
}

// Reads a packet from its beginning. What is not there makes it bad, and reads as zero from then
// on.
class WireReader {
 public:
  explicit WireReader(ByteView bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    if (bytes_.size() < sizeof(T)) {
      bad_ = true;
      bytes_ = {};
      return 0;
    }
    const T value = get_be<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  ByteView string() {
    const auto length = number<std::uint32_t>();
    const auto found = slice(bytes_, 0, length);
    if (!found) {
      bad_ = true;
      bytes_ = {};
      return {};
    }
    bytes_ = bytes_.subspan(length);
    return *found;
  }
  std::string text() { return to_text(string()); }
  ByteView rest() const { return bytes_; }
  bool bad() const { return bad_; }

 private:
  ByteView bytes_;
  bool bad_ = false;
};

inline void append_string(Bytes& to, ByteView bytes) {
  append_be(to, static_cast<std::uint32_t>(bytes.size()));
  append(to, bytes);
}
inline void append_string(Bytes& to, std::string_view text) { append_string(to, as_bytes(text)); }

}  // namespace lafs::sftp
