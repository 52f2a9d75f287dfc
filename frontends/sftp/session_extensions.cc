// SPDX-License-Identifier: Apache-2.0

// Session: what version 3 itself does not have. docs/SFTP.md lists every extension.

#include <grp.h>
#include <pwd.h>

#include "frontends/sftp/reply.h"
#include "frontends/sftp/session.h"
#include "grid/crypto/digest.h"

namespace lafs::sftp {
namespace {

constexpr std::uint32_t check_block_min = 256;  // the draft's
constexpr std::size_t check_reply_max = 128 * 1024;
constexpr std::uint32_t check_piece = 256 * 1024;

// The names beside each other, each with its length in front; empty for who is not known.
std::string user_names(const std::vector<std::uint32_t>& ids) {
  Bytes out;
  char buffer[4096];
  for (const auto id : ids) {
    passwd entry{}, *found = nullptr;
    const bool known = ::getpwuid_r(id, &entry, buffer, sizeof buffer, &found) == 0 && found;
    append_string(out, std::string_view(known ? entry.pw_name : ""));
  }
  return to_text(out);
}

std::string group_names(const std::vector<std::uint32_t>& ids) {
  Bytes out;
  Bytes buffer(64 * 1024);  // a group's members come along
  for (const auto id : ids) {
    group entry{}, *found = nullptr;
    const bool known = ::getgrgid_r(id, &entry, reinterpret_cast<char*>(buffer.data()),
                                    buffer.size(), &found) == 0 &&
                       found;
    append_string(out, std::string_view(known ? entry.gr_name : ""));
  }
  return to_text(out);
}

// The first of "sha256,md5" that we have.
std::optional<std::pair<std::string, grid::Digest>> choose_digest(std::string_view names) {
  while (!names.empty()) {
    const auto name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    if (auto digest = grid::Digest::named(name))
      return std::pair(std::string(name), std::move(*digest));
  }
  return std::nullopt;
}

}  // namespace

Task<Result<Bytes>> Session::statvfs(Request& request) {
  if (request.op == Op::statvfs) {
    CO_TRY(node, co_await walker_.node(absolute(request.path)));
  } else if (!open_.contains(request.handle)) {
    co_return fail(Errc::bad_handle, "no such handle");
  }
  CO_TRY(space, co_await files_.space());
  constexpr std::uint64_t no_set_id = 2, read_only = 1;
  Packet out(Type::extended_reply, request.id);
  out.long_number(space.block_size)
      .long_number(space.block_size)
      .long_number(space.total / space.block_size)
      .long_number(space.available / space.block_size)
      .long_number(space.available / space.block_size)
      .long_number(space.files)
      .long_number(space.files_free)
      .long_number(space.files_free)
      .long_number(0)
      .long_number(no_set_id | (options_.read_only ? read_only : 0))
      .long_number(space.name_max);
  co_return std::move(out).finish();
}

Task<Result<Bytes>> Session::fsync(Request& request) {
  CO_TRY(open, find(request.handle));
  CO_TRY_DO(co_await files_.fsync(open->id, false));
  co_return status_packet(request.id, Status::ok, "");
}

Result<Bytes> Session::limits(Request& request) {
  Packet out(Type::extended_reply, request.id);
  out.long_number(packet_max - 1024).long_number(data_max).long_number(data_max);
  out.long_number(options_.handles);
  return std::move(out).finish();
}

Result<Bytes> Session::home_of(Request& request) {
  if (!request.path.empty() && request.path != options_.account)
    return fail(Errc::not_found, "account " + request.path);
  return name_packet(request.id, options_.home);
}

Task<Result<Bytes>> Session::copy_data(Request& request) {
  CO_TRY(from, find(request.handle));
  CO_TRY(to, find(request.second_handle));
  if (from == to) co_return fail(Errc::bad_argument, "copying a handle onto itself");
  if (!from->flags.read || !to->flags.write)
    co_return fail(Errc::access_denied, "not open for reading here and writing there");
  const auto length = request.length == 0 ? UINT64_MAX : request.length;
  std::uint64_t done = 0;
  while (done < length) {
    CO_TRY(copied, co_await files_.copy_range(from->id, request.offset + done, to->id,
                                              request.second_offset + done, length - done));
    if (copied == 0) break;  // the source's end
    done += copied;
  }
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::names_by_id(Request& request) {
  // Where names come from may be a directory service far away.
  auto look_up = [&] { return std::pair(user_names(request.users), group_names(request.groups)); };
  const auto names = co_await offload(pool_, std::ref(look_up));
  Packet out(Type::extended_reply, request.id);
  out.string(names.first).string(names.second);
  co_return std::move(out).finish();
}

Task<Result<Bytes>> Session::check_file(Request& request, fs::HandleId handle, std::uint64_t size) {
  auto chosen = choose_digest(request.hashes);
  if (!chosen) co_return fail(Errc::unsupported, "hash " + request.hashes);
  auto& digest = chosen->second;
  if (request.offset > size) co_return fail(Errc::bad_range, "past the end of the file");
  auto left = size - request.offset;
  if (request.length > 0) left = std::min(left, request.length);
  const std::uint64_t block = request.block_size == 0 ? UINT64_MAX : request.block_size;
  if (block < check_block_min) co_return fail(Errc::bad_argument, "blocks of less than 256 bytes");
  Packet out(Type::extended_reply, request.id);
  out.string("check-file").string(chosen->first);
  auto offset = request.offset;
  auto block_left = block;
  bool pending = left == 0;  // of nothing there is a hash, too
  while (left > 0) {
    const auto want =
        static_cast<std::uint32_t>(std::min<std::uint64_t>({left, block_left, check_piece}));
    CO_TRY(data, co_await files_.read(handle, offset, want));
    if (data.empty()) break;  // it became shorter
    auto hash = [&] { digest.update(data); };
    if (data.size() > 16 * 1024) {
      co_await offload(pool_, std::ref(hash));
    } else {
      hash();
    }
    offset += data.size();
    left -= data.size();
    block_left -= data.size();
    pending = true;
    if (block_left > 0) continue;
    out.bytes(digest.finish());
    if (out.size() > check_reply_max)
      co_return fail(Errc::too_large, "more hashes than fit a reply");
    block_left = block;
    pending = false;
  }
  if (pending) out.bytes(digest.finish());
  co_return std::move(out).finish();
}

Task<Result<Bytes>> Session::check_file_handle(Request& request) {
  CO_TRY(open, find(request.handle));
  if (!open->flags.read) co_return fail(Errc::access_denied, "not open for reading");
  CO_TRY(attributes, co_await files_.attributes(open->node.id()));
  co_return co_await check_file(request, open->id, attributes.size);
}

Task<Result<Bytes>> Session::check_file_name(Request& request) {
  CO_TRY(node, co_await walker_.node(absolute(request.path)));
  if (node.is(fs::Kind::directory)) co_return fail(Errc::is_directory, request.path);
  if (!node.is(fs::Kind::file)) co_return fail(Errc::unsupported, request.path + " is no file");
  const fs::OpenFlags reading;
  CO_TRY(opened, co_await files_.open(node.id(), reading));
  auto reply = co_await check_file(request, opened.handle, opened.attributes.size);
  co_await files_.release(opened.handle);
  co_return reply;
}

}  // namespace lafs::sftp
