// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/request.h"

#include <array>
#include <utility>

namespace lafs::sftp {
namespace {

constexpr std::size_t most_ids = 1024;

std::uint64_t read_handle(WireReader& in) {
  const auto bytes = in.string();
  return bytes.size() == 8 ? get_be<std::uint64_t>(bytes.data()) : no_handle;
}

fs::Changes read_changes(WireReader& in) {
  fs::Changes out;
  const auto flags = in.number<std::uint32_t>();
  if (flags & attr_flag::size) out.size = in.number<std::uint64_t>();
  if (flags & attr_flag::owner) {
    out.uid = in.number<std::uint32_t>();
    out.gid = in.number<std::uint32_t>();
  }
  if (flags & attr_flag::permissions) out.mode = in.number<std::uint32_t>() & 07777;
  if (flags & attr_flag::times) {
    out.accessed = timespec{in.number<std::uint32_t>(), 0};
    out.modified = timespec{in.number<std::uint32_t>(), 0};
  }
  if (flags & attr_flag::extended) {
    // Pairs that nobody has defined for this version.
    for (auto count = in.number<std::uint32_t>(); count > 0 && !in.bad(); --count) {
      in.string();
      in.string();
    }
  }
  return out;
}

std::vector<std::uint32_t> read_ids(WireReader& in, bool& bad) {
  std::vector<std::uint32_t> out;
  WireReader ids(in.string());
  while (!ids.rest().empty() && !ids.bad() && out.size() <= most_ids)
    out.push_back(ids.number<std::uint32_t>());
  bad = bad || ids.bad() || out.size() > most_ids;
  return out;
}

void read_check(Request& request, WireReader& in) {
  request.hashes = in.text();
  request.offset = in.number<std::uint64_t>();
  request.length = in.number<std::uint64_t>();
  request.block_size = in.number<std::uint32_t>();
}

Op extension(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Op>, 15> names{{
      {"posix-rename@openssh.com", Op::posix_rename},
      {"statvfs@openssh.com", Op::statvfs},
      {"fstatvfs@openssh.com", Op::fstatvfs},
      {"fsync@openssh.com", Op::fsync},
      {"hardlink@openssh.com", Op::hardlink},
      {"lsetstat@openssh.com", Op::lsetstat},
      {"limits@openssh.com", Op::limits},
      {"expand-path@openssh.com", Op::expand_path},
      {"home-directory", Op::home_directory},
      {"copy-data", Op::copy_data},
      {"users-groups-by-id@openssh.com", Op::names_by_id},
      {"check-file-handle", Op::check_file_handle},
      {"check-file", Op::check_file_handle},  // what paramiko says
      {"check-file-name", Op::check_file_name},
  }};
  for (const auto& [known, op] : names)
    if (known == name) return op;
  return Op::unknown;
}

Op operation(std::uint8_t type) {
  static constexpr std::array plain = {
      Op::init,  Op::unknown,  Op::open,     Op::close,   Op::read,     Op::write,   Op::lstat,
      Op::fstat, Op::setstat,  Op::fsetstat, Op::opendir, Op::readdir,  Op::remove,  Op::mkdir,
      Op::rmdir, Op::realpath, Op::stat,     Op::rename,  Op::readlink, Op::symlink,
  };
  return type >= 1 && type <= plain.size() ? plain[type - 1] : Op::unknown;
}

}  // namespace

Decoded decode(Bytes packet) {
  Decoded out;
  auto& request = out.request;
  WireReader in(packet);
  const auto type = in.number<std::uint8_t>();
  request.op = operation(type);
  if (request.op == Op::init) {
    request.version = in.number<std::uint32_t>();
    out.bad = in.bad();
    return out;
  }
  request.id = in.number<std::uint32_t>();
  std::string name;
  if (type == static_cast<std::uint8_t>(Type::extended)) {
    name = in.text();
    request.op = extension(name);
  } else if (request.op == Op::unknown) {
    name = "packet type " + std::to_string(type);
  }
  switch (request.op) {
    case Op::init:
    case Op::limits:
      break;
    case Op::open:
      request.path = in.text();
      request.flags = in.number<std::uint32_t>();
      request.changes = read_changes(in);
      break;
    case Op::close:
    case Op::fstat:
    case Op::readdir:
    case Op::fstatvfs:
    case Op::fsync:
      request.handle = read_handle(in);
      break;
    case Op::read:
      request.handle = read_handle(in);
      request.offset = in.number<std::uint64_t>();
      request.length = in.number<std::uint32_t>();
      break;
    case Op::write: {
      request.handle = read_handle(in);
      request.offset = in.number<std::uint64_t>();
      const auto data = in.string();
      request.begin = data.empty() ? 0 : static_cast<std::size_t>(data.data() - packet.data());
      request.size = data.size();
      break;
    }
    case Op::lstat:
    case Op::stat:
    case Op::opendir:
    case Op::remove:
    case Op::rmdir:
    case Op::realpath:
    case Op::readlink:
    case Op::statvfs:
    case Op::expand_path:
    case Op::home_directory:
      request.path = in.text();
      break;
    case Op::setstat:
    case Op::mkdir:
    case Op::lsetstat:
      request.path = in.text();
      request.changes = read_changes(in);
      break;
    case Op::fsetstat:
      request.handle = read_handle(in);
      request.changes = read_changes(in);
      break;
    case Op::rename:
    case Op::symlink:  // in OpenSSH's order, which everybody follows: not the draft's
    case Op::posix_rename:
    case Op::hardlink:
      request.path = in.text();
      request.second = in.text();
      break;
    case Op::copy_data:
      request.handle = read_handle(in);
      request.offset = in.number<std::uint64_t>();
      request.length = in.number<std::uint64_t>();
      request.second_handle = read_handle(in);
      request.second_offset = in.number<std::uint64_t>();
      break;
    case Op::names_by_id:
      request.users = read_ids(in, out.bad);
      request.groups = read_ids(in, out.bad);
      break;
    case Op::check_file_handle:
      request.handle = read_handle(in);
      read_check(request, in);
      break;
    case Op::check_file_name:
      request.path = in.text();
      read_check(request, in);
      break;
    case Op::unknown:
      request.path = name.substr(0, 100);
      break;
  }
  out.bad = out.bad || in.bad();
  if (out.bad) request.size = 0;
  if (request.size > 0) request.packet = std::move(packet);
  return out;
}

}  // namespace lafs::sftp
