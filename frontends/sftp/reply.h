// SPDX-License-Identifier: Apache-2.0
#pragma once

// What we answer: whole packets, their length in front.

#include <string>
#include <string_view>
#include <vector>

#include "frontends/fs/types.h"
#include "frontends/sftp/wire.h"
#include "grid/base/result.h"

namespace lafs::sftp {

// A packet that is being written. Takes its length when finished.
class Packet {
 public:
  // `id` absent: VERSION alone.
  Packet(Type type, std::optional<std::uint32_t> id);
  Packet& number(std::uint32_t value);
  Packet& long_number(std::uint64_t value);
  Packet& string(std::string_view text);
  Packet& bytes(ByteView bytes);  // as they are
  Packet& attributes(const fs::Attributes& attributes);
  std::size_t size() const { return bytes_.size(); }
  // `more` bytes follow that are sent separately.
  Bytes finish(std::size_t more = 0) &&;

  // Overwrites the number written at `at` (a size() taken before it was).
  void patch(std::size_t at, std::uint32_t value) { put_be(bytes_.data() + at, value); }

 private:
  Bytes bytes_;
};

Bytes version_packet();
Bytes status_packet(std::uint32_t id, Status status, std::string_view text);
Bytes error_packet(std::uint32_t id, const Error& error);
Bytes handle_packet(std::uint32_t id, std::uint64_t handle);
Bytes attributes_packet(std::uint32_t id, const fs::Attributes& attributes);
// One name without attributes: REALPATH and READLINK.
Bytes name_packet(std::uint32_t id, std::string_view name);
// What comes before `size` bytes of data.
Bytes data_head(std::uint32_t id, std::uint32_t size);

// As `ls -l` shows it, with numbers for owner and group. `now` decides between the hour and the
// year.
std::string long_name(std::string_view name, const fs::Attributes& attributes, std::int64_t now);

// Kind and permissions as in st_mode.
std::uint32_t mode_of(const fs::Attributes& attributes);

}  // namespace lafs::sftp
