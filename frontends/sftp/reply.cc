// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/reply.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "frontends/sftp/convert.h"
#include "grid/base/log.h"

namespace lafs::sftp {
namespace {

constexpr std::size_t text_max = 512;

std::uint32_t seconds(const timespec& time) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.tv_sec, 0, UINT32_MAX));
}

std::string mode_text(std::uint32_t mode) {
  std::string out = S_ISDIR(mode)    ? "d"
                    : S_ISLNK(mode)  ? "l"
                    : S_ISFIFO(mode) ? "p"
                    : S_ISSOCK(mode) ? "s"
                                     : "-";
  for (int shift = 6; shift >= 0; shift -= 3) {
    const auto bits = mode >> shift;
    out += bits & 4 ? 'r' : '-';
    out += bits & 2 ? 'w' : '-';
    const bool special = mode & (shift == 6 ? S_ISUID : shift == 3 ? S_ISGID : S_ISVTX);
    const char set = shift == 0 ? 't' : 's';
    out += special ? (bits & 1 ? set : static_cast<char>(set - 32)) : bits & 1 ? 'x' : '-';
  }
  return out;
}

}  // namespace

std::uint32_t mode_of(const fs::Attributes& attributes) {
  std::uint32_t kind = S_IFREG;
  switch (attributes.kind) {
    case fs::Kind::file:
      break;
    case fs::Kind::directory:
      kind = S_IFDIR;
      break;
    case fs::Kind::symlink:
      kind = S_IFLNK;
      break;
    case fs::Kind::fifo:
      kind = S_IFIFO;
      break;
    case fs::Kind::socket:
      kind = S_IFSOCK;
      break;
  }
  return kind | (attributes.mode & 07777);
}

Packet::Packet(Type type, std::optional<std::uint32_t> id) {
  bytes_.reserve(64);
  append_be<std::uint32_t>(bytes_, 0);
  bytes_.push_back(static_cast<std::uint8_t>(type));
  if (id) append_be(bytes_, *id);
}

Packet& Packet::number(std::uint32_t value) {
  append_be(bytes_, value);
  return *this;
}

Packet& Packet::long_number(std::uint64_t value) {
  append_be(bytes_, value);
  return *this;
}

Packet& Packet::string(std::string_view text) {
  append_string(bytes_, text);
  return *this;
}

Packet& Packet::bytes(ByteView raw) {
  append(bytes_, raw);
  return *this;
}

Packet& Packet::attributes(const fs::Attributes& attributes) {
  return number(attr_flag::size | attr_flag::owner | attr_flag::permissions | attr_flag::times)
      .long_number(attributes.size)
      .number(attributes.uid)
      .number(attributes.gid)
      .number(mode_of(attributes))
      .number(seconds(attributes.times.accessed))
      .number(seconds(attributes.times.modified));
}

Bytes Packet::finish(std::size_t more) && {
  put_be(bytes_.data(), static_cast<std::uint32_t>(bytes_.size() - 4 + more));
  return std::move(bytes_);
}

Bytes version_packet() {
  Packet out(Type::version, std::nullopt);
  out.number(3);
  static constexpr std::pair<std::string_view, std::string_view> extensions[] = {
      {"posix-rename@openssh.com", "1"},
      {"statvfs@openssh.com", "2"},
      {"fstatvfs@openssh.com", "2"},
      {"hardlink@openssh.com", "1"},
      {"fsync@openssh.com", "1"},
      {"lsetstat@openssh.com", "1"},
      {"limits@openssh.com", "1"},
      {"expand-path@openssh.com", "1"},
      {"copy-data", "1"},
      {"home-directory", "1"},
      {"users-groups-by-id@openssh.com", "1"},
      {"check-file", "md5,sha1,sha224,sha256,sha384,sha512"},
  };
  for (const auto& [name, data] : extensions) out.string(name).string(data);
  return std::move(out).finish();
}

Bytes status_packet(std::uint32_t id, Status status, std::string_view text) {
  Packet out(Type::status, id);
  out.number(static_cast<std::uint32_t>(status))
      .string(text.empty() ? describe(status) : text.substr(0, text_max))
      .string("en");
  return std::move(out).finish();
}

Bytes error_packet(std::uint32_t id, const Error& error) {
  return status_packet(id, status_of(error.code), log::redact(error.message()));
}

Bytes handle_packet(std::uint32_t id, std::uint64_t handle) {
  std::uint8_t raw[8];
  put_be(raw, handle);
  return std::move(Packet(Type::handle, id).string(as_text(raw))).finish();
}

Bytes attributes_packet(std::uint32_t id, const fs::Attributes& attributes) {
  return std::move(Packet(Type::attrs, id).attributes(attributes)).finish();
}

Bytes name_packet(std::uint32_t id, std::string_view name) {
  Packet out(Type::name, id);
  out.number(1).string(name).string(name).number(0);
  return std::move(out).finish();
}

Bytes data_head(std::uint32_t id, std::uint32_t size) {
  return std::move(Packet(Type::data, id).number(size)).finish(size);
}

std::string long_name(std::string_view name, const fs::Attributes& attributes, std::int64_t now) {
  const time_t when = attributes.times.modified.tv_sec;
  tm parts{};
  char date[32] = "?";
  if (::localtime_r(&when, &parts)) {
    constexpr std::int64_t half_year = 365 * 86400 / 2;
    const bool recent = when <= now + 3600 && now - when < half_year;
    if (::strftime(date, sizeof date, recent ? "%b %e %H:%M" : "%b %e  %Y", &parts) == 0)
      date[0] = '?';
  }
  char head[128];
  std::snprintf(head, sizeof head, "%s %3u %-8u %-8u %8llu %s ",
                mode_text(mode_of(attributes)).c_str(), attributes.links, attributes.uid,
                attributes.gid, static_cast<unsigned long long>(attributes.size), date);
  return std::string(head) + std::string(name);
}

}  // namespace lafs::sftp
