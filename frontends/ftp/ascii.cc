// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/ascii.h"

#include <algorithm>
#include <utility>

namespace lafs::ftp {

void ToWire::translate(ByteView file, Bytes& out) {
  out.clear();
  out.reserve(file.size() + file.size() / 16 + 2);
  for (const auto byte : file) {
    if (byte == '\n') {
      if (skip_)
        --skip_;
      else
        out.push_back('\r');
    }
    if (skip_)
      --skip_;
    else
      out.push_back(byte);
  }
}

void FromWire::translate(ByteView wire, Bytes& out) {
  out.clear();
  out.reserve(wire.size() + 1);
  for (const auto byte : wire) {
    if (held_return_ && byte != '\n') out.push_back('\r');
    held_return_ = byte == '\r';
    if (!held_return_) out.push_back(byte);
  }
}

void FromWire::finish(Bytes& out) {
  out.clear();
  if (std::exchange(held_return_, false)) out.push_back('\r');
}

void WireCount::add(ByteView file) {
  wire_ += file.size() + static_cast<std::uint64_t>(std::ranges::count(file, '\n'));
}

std::optional<std::uint64_t> WireCount::file_bytes(ByteView file, std::uint64_t& wanted) {
  std::uint64_t used = 0;
  for (const auto byte : file) {
    if (wanted == 0) break;
    const std::uint64_t length = byte == '\n' ? 2 : 1;
    if (length > wanted) return {};
    wanted -= length;
    ++used;
  }
  return used;
}

}  // namespace lafs::ftp
