// SPDX-License-Identifier: Apache-2.0

// Session: requests on open files and directories.

#include <chrono>

#include "frontends/sftp/reply.h"
#include "frontends/sftp/session.h"

namespace lafs::sftp {
namespace {

constexpr std::uint32_t default_file_mode = 0666;
// A READDIR reply ends here or somewhat later: some clients take no more than 80,000 bytes.
constexpr std::size_t listing_bytes = 40'000;
constexpr std::size_t listing_entries = 50;  // asked for at once

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void add_entry(Packet& out, std::string_view name, const fs::Attributes& attributes,
               std::int64_t now) {
  out.string(name).string(long_name(name, attributes, now)).attributes(attributes);
}

}  // namespace

Task<Result<Bytes>> Session::open(Request& request) {
  if (open_.size() >= options_.handles) co_return fail(Errc::busy, "too many open handles");
  fs::OpenFlags flags;
  flags.append = request.flags & open_flag::append;
  flags.write = flags.append || request.flags & open_flag::write;
  flags.read = !flags.write || request.flags & open_flag::read;
  flags.truncate = flags.write && request.flags & open_flag::truncate;
  const bool create = request.flags & open_flag::create;
  const bool exclusive = create && request.flags & open_flag::exclusive;
  CO_TRY(place, co_await walker_.place(absolute(request.path),
                                       exclusive ? fs::LastLink::keep : fs::LastLink::follow));
  Open open;
  open.flags = flags;
  open.path = std::make_shared<const std::string>(plain_path(options_.home, request.path));
  if (place.node) {
    if (exclusive) co_return fail(Errc::exists, place.path);
    if (place.node->is(fs::Kind::directory)) co_return fail(Errc::is_directory, place.path);
    if (!place.node->is(fs::Kind::file))
      co_return fail(Errc::unsupported, place.path + " is no file");
    CO_TRY(opened, co_await files_.open(place.node->id(), flags));
    open.id = opened.handle;
    open.node = std::move(*place.node);
  } else {
    if (!create) co_return fail(Errc::not_found, place.path);
    if (place.wants_directory) co_return fail(Errc::is_directory, place.path);
    const auto mode = request.changes.mode.value_or(default_file_mode) & ~options_.umask;
    CO_TRY(made, co_await files_.create(place.directory.id(), place.name, mode, flags, exclusive,
                                        options_.caller));
    open.id = made.handle;
    open.node = fs::NodeRef(&files_, made.attributes);
  }
  CO_TRY(handle, remember(std::move(open)));
  co_return handle_packet(request.id, handle);
}

Task<Result<Bytes>> Session::close(Request& request) {
  const auto found = open_.find(request.handle);
  if (found == open_.end()) co_return fail(Errc::bad_handle, "no such handle");
  // Taken out first: should the client send CLOSE twice, only one of them closes.
  const auto open = std::move(found->second);
  open_.erase(found);
  Result<> outcome;
  if (open->directory) {
    co_await files_.close_directory(open->id);
  } else {
    if (open->flags.write) outcome = co_await files_.flush(open->id);
    co_await files_.release(open->id);
  }
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::read(Waiting& waiting) {
  const auto& request = waiting.request;
  CO_TRY(open, find(request.handle));
  if (!open->flags.read) co_return fail(Errc::access_denied, "not open for reading");
  const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(request.length, data_max));
  // Nothing is read before there is room for it here and on the way out. The one that the others of
  // its line wait for needs none, or all would wait for ever.
  const bool room = co_await pipe_->room_to_write(options_.reply_bytes);
  if (!room) co_return fail(Errc::closed);
  while (reading_bytes_ + size > options_.reply_bytes &&
         waiting.line->places.front() != waiting.place) {
    co_await read_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
  }
  waiting.place->reserved = size;
  reading_bytes_ += size;
  CO_TRY(data, co_await files_.read(open->id, request.offset, size));
  if (data.empty() && size > 0) co_return status_packet(request.id, Status::eof, "");
  auto head = data_head(request.id, static_cast<std::uint32_t>(data.size()));
  waiting.place->body = std::move(data);
  co_return head;
}

Task<Result<Bytes>> Session::write(Request& request) {
  CO_TRY(open, find(request.handle));
  if (!open->flags.write) co_return fail(Errc::access_denied, "not open for writing");
  CO_TRY_DO(co_await files_.write(open->id, request.offset, request.data()));
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::opendir(Request& request) {
  if (open_.size() >= options_.handles) co_return fail(Errc::busy, "too many open handles");
  CO_TRY(node, co_await walker_.node(absolute(request.path)));
  if (!node.is(fs::Kind::directory)) co_return fail(Errc::not_directory, request.path);
  Open open;
  open.directory = true;
  open.path = std::make_shared<const std::string>(plain_path(options_.home, request.path));
  CO_TRY(id, co_await files_.open_directory(node.id()));
  open.id = id;
  open.node = std::move(node);
  CO_TRY(handle, remember(std::move(open)));
  co_return handle_packet(request.id, handle);
}

Task<Result<Bytes>> Session::readdir(Request& request) {
  CO_TRY(open, find(request.handle, true));
  const auto now = unix_now();
  Packet out(Type::name, request.id);
  const auto count_at = out.size();
  out.number(0);
  std::uint32_t count = 0;
  if (!open->begun) {
    open->begun = true;
    // Nobody asks what the parent's attributes are; the root is its own.
    add_entry(out, ".", open->node.attributes(), now);
    add_entry(out, "..", open->node.attributes(), now);
    count = 2;
  }
  while (out.size() < listing_bytes) {
    CO_TRY(entries, co_await files_.read_directory(open->id, open->after, listing_entries, false));
    if (entries.empty()) break;
    for (const auto& entry : entries) add_entry(out, entry.name, entry.attributes, now);
    count += static_cast<std::uint32_t>(entries.size());
    open->after = entries.back().cookie;
  }
  if (count == 0) co_return status_packet(request.id, Status::eof, "");
  out.patch(count_at, count);
  co_return std::move(out).finish();
}

}  // namespace lafs::sftp
