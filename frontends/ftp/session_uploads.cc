// SPDX-License-Identifier: Apache-2.0

// Session: STOR, APPE and STOU. The bytes go to a part beside the file (partial.h); when all have
// come, the part takes the file's name. A client that hangs up leaves the part for REST and APPE;
// one that says ABOR leaves nothing.

#include "frontends/ftp/ascii.h"
#include "frontends/ftp/convert.h"
#include "frontends/ftp/upload.h"
#include "grid/base/log.h"

namespace lafs::ftp {

namespace {

constexpr std::size_t receive_block = 256 * 1024;
constexpr std::uint32_t file_mode = 0644;
constexpr std::uint32_t scan_block = 1 << 20;
// From this size on, an end of the data is looked at twice.
constexpr std::uint64_t worth_a_second_look = 256 * 1024;

bool is_newer(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec >= b.tv_nsec;
}

const fs::OpenFlags reading_and_writing{.read = true, .write = true};
const fs::OpenFlags reading{.read = true};

Reply bad_restart() { return {554, "Not a position to go on from; SIZE says how much is here."}; }

}  // namespace

Task<std::optional<Reply>> Session::store(Step step) {
  upload_ = std::make_unique<Upload>(files());
  auto& upload = *upload_;
  upload.kind = step.what;
  upload.path = step.path;
  auto trouble = co_await choose_place(upload, step);
  if (!trouble) trouble = co_await choose_base(upload, step);
  if (!trouble && control_.announced_size()) {
    auto room = co_await files().allocate(upload.part.id(), upload.position,
                                          control_.announced_size(), fs::AllocateMode::keep_size);
    if (!room && room.error().code == Errc::no_space) trouble = failed(room.error(), step.path);
  }
  if (!trouble) {
    const auto what = upload.kind == Do::store_unique ? "FILE: " + upload.name : "Ok to send data.";
    trouble = co_await open_data(what, false);
  }
  if (!trouble) trouble = co_await receive(upload);
  co_return trouble;
}

Task<std::optional<Reply>> Session::choose_place(Upload& upload, Step step) {
  const bool unique = upload.kind == Do::store_unique;
  auto path = step.path;
  if (unique && step.name.empty()) path = fs::join_path(control_.directory(), "ftp-upload");
  if (names_partial(path)) co_return Reply{553, "That name is kept for unfinished uploads."};
  auto place = co_await walker().place(path, fs::LastLink::follow);
  if (!place) co_return failed(place.error(), path, true);
  if (place->name.empty() || place->wants_directory) co_return Reply{553, "Not a file name."};
  if (!unique && place->node && place->node->is(fs::Kind::directory))
    co_return Reply{550, "Is a directory."};
  if (!unique && place->node && !place->node->is(fs::Kind::file))
    co_return Reply{553, "Not a plain file."};
  upload.name = place->name;
  for (unsigned n = 1; unique && place->node; ++n) {
    upload.name = place->name + "." + std::to_string(n);
    auto taken = co_await files().lookup(place->directory.id(), upload.name);
    if (!taken) break;
    files().forget(taken->id, 1);
  }
  if (place->node && !unique) {
    // As it is now: what was known when the directory was read may be old.
    auto now = co_await files().attributes(place->node->id());
    if (!now) co_return failed(now.error(), path);
    upload.final = *now;
    upload.final_ref = std::move(place->node);
  }
  upload.directory = std::move(place->directory);
  upload.claim.emplace(shared_.uploads.claim(&files().locks(), upload.directory.id(), upload.name));
  co_return std::nullopt;
}

// Where the upload begins: with nothing, with what an interrupted one left, or with a copy of the
// file that it goes on with.
Task<std::optional<Reply>> Session::choose_base(Upload& upload, Step step) {
  std::optional<fs::NodeRef> part;
  if (upload.claim->first()) {
    auto found = co_await files().lookup(upload.directory.id(), upload.claim->name());
    if (found) part.emplace(&files(), *found);
  }
  // One that is older than the file was given up.
  const bool counts = part && (!upload.final || is_newer(part->attributes().times.modified,
                                                         upload.final->times.modified));
  if (counts) upload.interrupted = part->attributes();
  const auto restart = step.range.begin;
  const bool append = upload.kind == Do::append;
  auto trouble = std::optional<Reply>();
  if (append && upload.final && counts)
    // Was it to go on with the upload, which began this file anew, or with the old file? A mixture
    // of the two would be neither.
    co_return Reply{450,
                    "An upload of this file was interrupted: send it whole, or DELE it first."};
  if (!append && restart == 0) {
    trouble = co_await open_part(upload);
    if (!trouble && upload.part.attributes().size > 0) {
      fs::Changes empty;
      empty.size = 0;
      auto done = co_await files().change(upload.part.attributes().id, empty, upload.part.id());
      if (!done) trouble = failed(done.error(), upload.path);
    }
    co_return trouble;
  }
  const bool onto_part = counts && !(append && upload.final);
  if (!onto_part && !upload.final) {
    if (!append) co_return bad_restart();
    co_return co_await open_part(upload);  // APPE of what is not there makes it
  }
  const auto base = onto_part ? part->id() : upload.final->id;
  const auto size = onto_part ? part->attributes().size : upload.final->size;
  auto position = append ? size : restart;
  if (!append && control_.is_ascii()) {
    auto found = co_await file_offset(base, restart);
    if (!found) co_return bad_restart();
    position = *found;
  }
  if (position > size) co_return bad_restart();
  trouble = co_await open_part(upload);
  if (trouble) co_return trouble;
  if (!onto_part) {
    upload.resumable = !append;
    co_return co_await copy_base(upload, position);
  }
  if (position < size) {
    fs::Changes shorter;
    shorter.size = position;
    auto done = co_await files().change(upload.part.attributes().id, shorter, upload.part.id());
    if (!done) co_return failed(done.error(), upload.path);
  }
  upload.position = position;
  co_return std::nullopt;
}

Task<std::optional<Reply>> Session::open_part(Upload& upload) {
  auto done = co_await upload.part.create(upload.directory.id(), upload.claim->name(), file_mode,
                                          reading_and_writing, caller());
  if (!done) co_return failed(done.error(), upload.path, true);
  co_return std::nullopt;
}

Task<std::optional<Reply>> Session::copy_base(Upload& upload, std::uint64_t length) {
  OpenFile from(files());
  auto done = co_await from.open(upload.final->id, reading);
  if (done) {
    fs::Changes empty;
    empty.size = 0;
    auto cut = co_await files().change(upload.part.attributes().id, empty, upload.part.id());
    if (!cut) done = std::unexpected(std::move(cut.error()));
  }
  if (done) done = co_await copy_bytes(files(), from.id(), upload.part.id(), length);
  co_await from.close();
  if (!done) co_return failed(done.error(), upload.path);
  upload.position = length;
  co_return std::nullopt;
}

// Where a position of the wire is in a file, in TYPE A.
Task<Result<std::uint64_t>> Session::file_offset(fs::NodeId node, std::uint64_t wire) {
  OpenFile file(files());
  auto done = co_await file.open(node, reading);
  std::uint64_t at = 0;
  while (done && wire) {
    auto piece = co_await files().read(file.id(), at, scan_block);
    if (!piece) {
      done = std::unexpected(std::move(piece.error()));
      break;
    }
    const auto used = WireCount::file_bytes(*piece, wire);
    if (piece->empty() || !used) done = fail(Errc::bad_range, "restart position");
    at += used.value_or(0);
  }
  co_await file.close();
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return at;
}

Task<std::optional<Reply>> Session::receive(Upload& upload) {
  const Reply cut{426, "Failure reading network stream."};
  const bool ascii = control_.is_ascii();
  FromWire from_wire;
  Bytes buffer(receive_block), text;
  auto& to = upload.position;
  for (;;) {
    // A full block is one write below, and one record of the journal.
    std::size_t have = 0;
    bool end = false, broken = false;
    while (have < buffer.size() && !end) {
      auto n = co_await data_->read(MutableBytes(buffer).subspan(have));
      broken = !n;
      end = broken || *n == 0;
      if (n) have += *n;
    }
    moved_ += have;
    shared_.received += have;
    ByteView bytes(buffer.data(), have);
    if (ascii) {
      from_wire.translate(bytes, text);
      bytes = text;
    }
    if (!bytes.empty()) {
      auto done = co_await files().write(upload.part.id(), to, bytes);
      if (!done) co_return failed(done.error(), upload.path);
      to += bytes.size();
    }
    // What came by a connection that broke has been kept.
    if (broken) co_return cut;
    if (end) break;
  }
  if (ascii) {
    from_wire.finish(text);
    if (!text.empty()) {
      auto done = co_await files().write(upload.part.id(), to, text);
      if (!done) co_return failed(done.error(), upload.path);
      to += text.size();
    }
  }
  if (data_->truncated() && shared_.options.require_close_notify)
    co_return Reply{426, "The data connection ended without close_notify."};
  co_await data_->finish();
  const bool gone = co_await client_is_gone(moved_);
  if (gone) co_return cut;
  co_return std::nullopt;
}

// A program that was killed closes its data connection as one that has sent everything does. But
// its control connection goes at the same time.
Task<bool> Session::client_is_gone(std::uint64_t size) {
  if (!quitting_ && stream_.peer_is_gone()) co_return true;
  if (size < worth_a_second_look) co_return false;
  co_await sleep_for(std::chrono::milliseconds(2));
  co_return !quitting_ && stream_.peer_is_gone();
}

// ------------------------------------------------------------------------------ the end of it

Task<Reply> Session::finish_upload(std::optional<Reply> trouble) {
  auto upload = std::move(upload_);
  if (!upload) co_return trouble.value_or(Reply{426, "Transfer aborted."});
  // A cancelled move may have got no further than its beginning.
  if (aborted_ && !trouble) trouble = Reply{426, "Transfer aborted."};
  if (!trouble && !upload->part.is_open()) trouble = Reply{451, "Not stored."};
  // What has no room would only be in the way of what has.
  if (trouble && trouble->code == 552) upload->resumable = false;
  if (trouble)
    co_await leave(*upload);
  else
    trouble = co_await complete(*upload);
  co_return std::move(*trouble);
}

Task<Reply> Session::complete(Upload& upload) {
  auto done = co_await take_its_name(upload);
  // What "stored" means is the filesystem's: in the journal, or on the grid.
  if (done) done = co_await files().flush(upload.part.id());
  co_await upload.part.close();
  if (!done) co_return failed(done.error(), upload.path, true);
  co_return Reply{226, "Transfer complete."};
}

Task<Result<>> Session::take_its_name(Upload& upload) {
  const auto directory = upload.directory.id();
  if (upload.final) {
    fs::Changes same;
    same.mode = upload.final->mode;
    if (upload.final->uid != upload.part.attributes().uid) same.uid = upload.final->uid;
    if (upload.final->gid != upload.part.attributes().gid) same.gid = upload.final->gid;
    CO_TRY_DO(co_await files().change(upload.part.attributes().id, same, upload.part.id()));
  }
  const auto mode =
      upload.kind == Do::store_unique ? fs::RenameMode::no_replace : fs::RenameMode::replace;
  co_return co_await files().rename(directory, upload.claim->name(), directory, upload.name, mode);
}

Task<> Session::leave(Upload& upload) {
  const bool was_open = upload.part.is_open();
  const bool keep = was_open && upload.resumable && !aborted_ && upload.position > 0 &&
                    upload.kind != Do::store_unique && upload.claim->first();
  if (keep) {
    auto kept = co_await files().flush(upload.part.id());
    if (!kept) log::warning("ftp: " + upload.path + ": the part: " + kept.error().message());
  }
  co_await upload.part.close();
  if (was_open && !keep) (void)co_await files().unlink(upload.directory.id(), upload.claim->name());
}

}  // namespace lafs::ftp
