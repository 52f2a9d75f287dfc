// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/checksum.h"

#include <array>

namespace lafs::ftp {

namespace {

constexpr auto tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> out{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    out[0][i] = c;
  }
  for (std::size_t t = 1; t < 8; ++t)
    for (std::size_t i = 0; i < 256; ++i)
      out[t][i] = out[0][out[t - 1][i] & 255] ^ (out[t - 1][i] >> 8);
  return out;
}();

// Eight bytes at a time, each through a table of its own.
std::uint32_t crc32(std::uint32_t crc, ByteView data) {
  while (data.size() >= 8) {
    const auto low = crc ^ (data[0] | std::uint32_t{data[1]} << 8 | std::uint32_t{data[2]} << 16 |
                            std::uint32_t{data[3]} << 24);
    crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
          tables[4][low >> 24] ^ tables[3][data[4]] ^ tables[2][data[5]] ^ tables[1][data[6]] ^
          tables[0][data[7]];
    data = data.subspan(8);
  }
  for (const auto byte : data) crc = tables[0][(crc ^ byte) & 255] ^ (crc >> 8);
  return crc;
}

}  // namespace

Checksum::Checksum(std::string_view name) {
  if (auto digest = grid::Digest::named(name)) digest_.emplace(std::move(*digest));
}

void Checksum::update(ByteView data) {
  if (digest_)
    digest_->update(data);
  else
    crc_ = crc32(crc_, data);
}

std::string Checksum::hex() {
  if (digest_) return to_hex(digest_->finish());
  std::uint8_t bytes[4];
  put_be<std::uint32_t>(bytes, ~crc_);
  return to_hex(bytes);
}

}  // namespace lafs::ftp
