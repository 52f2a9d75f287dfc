// SPDX-License-Identifier: Apache-2.0

// Session: commands that are answered by one reply.

#include "frontends/ftp/ascii.h"
#include "frontends/ftp/convert.h"
#include "frontends/ftp/listing.h"
#include "frontends/ftp/open_file.h"
#include "frontends/ftp/session.h"

namespace lafs::ftp {

namespace {
constexpr std::uint32_t directory_mode = 0755;
// Sizes in TYPE A are found by reading the file.
constexpr std::uint64_t ascii_size_max = 256u << 20;
constexpr std::uint32_t block = 1 << 20;
constexpr const char* created_attribute = "user.ftp.created";

Reply not_plain() { return {550, "Not a plain file."}; }
}  // namespace

Task<Reply> Session::on_file(Step step) {
  if (names_partial(step.path) || names_partial(step.second))
    co_return Reply{step.what == Do::rename || step.what == Do::make_directory ? 553 : 550,
                    "That name is kept for unfinished uploads."};
  switch (step.what) {
    case Do::change_directory:
      co_return co_await change_directory(std::move(step));
    case Do::make_directory:
      co_return co_await make_directory(std::move(step));
    case Do::remove_directory:
      co_return co_await remove_directory(std::move(step));
    case Do::remove_file:
      co_return co_await remove_file(std::move(step));
    case Do::rename_from:
    case Do::copy_from:
      co_return co_await rename_from(std::move(step));
    case Do::rename:
      co_return co_await rename(std::move(step));
    case Do::copy:
      co_return co_await copy(std::move(step));
    case Do::size:
      co_return co_await size(std::move(step));
    case Do::modified:
      co_return co_await modified(std::move(step));
    case Do::set_modified: {
      fs::Changes changes;
      changes.modified = parse_time_value(step.text);
      Reply done{213, "Modify=" + step.text + "; " + step.name};
      if (step.number) done.text = "File modification time set.";
      co_return co_await change(std::move(step), changes, std::move(done));
    }
    case Do::set_created:
      step.text = "Create=" + step.text + ";";
      co_return co_await set_facts(std::move(step));
    case Do::set_facts:
      co_return co_await set_facts(std::move(step));
    case Do::set_mode: {
      fs::Changes changes;
      changes.mode = static_cast<std::uint32_t>(step.number);
      Reply done{200, "SITE CHMOD command ok."};
      co_return co_await change(std::move(step), changes, std::move(done));
    }
    case Do::set_times: {
      const auto times = parse_site_times(step.text);
      fs::Changes changes;
      changes.modified = times->modified;
      changes.accessed = times->accessed;
      Reply done{200, "SITE UTIME command ok."};
      co_return co_await change(std::move(step), changes, std::move(done));
    }
    case Do::make_link:
      co_return co_await make_link(std::move(step));
    case Do::available:
    case Do::allocate:
      co_return co_await available(std::move(step));
    case Do::machine_facts:
      co_return co_await machine_facts(std::move(step));
    case Do::status_of:
      co_return co_await status_of(std::move(step));
    default:
      co_return Reply{502, "Not implemented."};
  }
}

Task<Reply> Session::change_directory(Step step) {
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  if (!node->is(fs::Kind::directory)) co_return Reply{550, "Not a directory."};
  auto real = co_await walker().real_path(step.path);
  if (!real) co_return failed(real.error(), step.path);
  control_.changed_directory(std::move(*real));
  co_return Reply{250, "Directory successfully changed."};
}

Task<Reply> Session::make_directory(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path, true);
  if (place->node || place->name.empty()) co_return Reply{550, "File exists."};
  auto made = co_await files().mkdir(place->directory.id(), place->name, directory_mode, caller());
  if (!made) co_return failed(made.error(), step.path, true);
  files().forget(made->id, 1);
  co_return Reply{257, quoted_path(place->path) + " created"};
}

Task<Reply> Session::remove_directory(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path);
  if (!place->node) co_return Reply{550, "No such file or directory."};
  if (place->name.empty()) co_return Reply{550, "That directory cannot be removed."};
  auto done = co_await files().rmdir(place->directory.id(), place->name);
  if (!done) co_return failed(done.error(), step.path);
  co_return Reply{250, "Remove directory operation successful."};
}

Task<Reply> Session::remove_file(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path);
  if (place->name.empty()) co_return Reply{550, "Is a directory."};
  if (place->wants_directory) co_return Reply{550, "Not a plain file."};
  const auto name = place->node ? place->name : partial_name(place->name, 1);
  auto done = co_await files().unlink(place->directory.id(), name);
  if (!done) co_return failed(done.error(), step.path);
  co_return Reply{250, "Delete operation successful."};
}

Task<Reply> Session::rename_from(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path);
  if (!place->node) co_return Reply{550, "No such file or directory."};
  if (step.what == Do::copy_from) {
    control_.copying_from(step.path);
    co_return Reply{350, "File exists, ready for destination name."};
  }
  if (place->name.empty()) co_return Reply{550, "That directory cannot be renamed."};
  control_.renaming_from(step.path);
  co_return Reply{350, "Ready for RNTO."};
}

Task<Reply> Session::rename(Step step) {
  auto from = co_await walker().place(step.path);
  if (!from) co_return failed(from.error(), step.path);
  auto to = co_await walker().place(step.second);
  if (!to) co_return failed(to.error(), step.second, true);
  if (from->name.empty() || to->name.empty()) co_return Reply{553, "Not a name to rename to."};
  auto done = co_await files().rename(from->directory.id(), from->name, to->directory.id(),
                                      to->name, fs::RenameMode::replace);
  if (!done) co_return failed(done.error(), step.second, true);
  co_return Reply{250, "Rename successful."};
}

// A whole file that is copied moves no bytes: the copy names the same content.
Task<Reply> Session::copy(Step step) {
  auto source = co_await walker().node(step.path);
  if (!source) co_return failed(source.error(), step.path);
  if (!source->is(fs::Kind::file)) co_return not_plain();
  auto to = co_await walker().place(step.second, fs::LastLink::follow);
  if (!to) co_return failed(to.error(), step.second, true);
  if (to->name.empty() || to->wants_directory || (to->node && to->node->is(fs::Kind::directory)))
    co_return Reply{550, "Is a directory."};
  if (to->node && to->node->id() == source->id()) co_return Reply{250, "Copy successful."};
  auto claim = shared_.uploads.claim(&files().locks(), to->directory.id(), to->name);
  OpenFile from(files()), part(files());
  const fs::OpenFlags reading{.read = true};
  auto done = co_await from.open(source->id(), reading);
  if (done) {
    const fs::OpenFlags writing{.read = true, .write = true, .truncate = true};
    done = co_await part.create(to->directory.id(), claim.name(), source->attributes().mode & 0777,
                                writing, caller());
  }
  if (done) done = co_await copy_bytes(files(), from.id(), part.id(), source->attributes().size);
  if (done)
    done = co_await files().rename(to->directory.id(), claim.name(), to->directory.id(), to->name,
                                   fs::RenameMode::replace);
  if (done) done = co_await files().flush(part.id());
  co_await from.close();
  co_await part.close();
  if (!done) {
    (void)co_await files().unlink(to->directory.id(), claim.name());
    co_return failed(done.error(), step.second, true);
  }
  co_return Reply{250, "Copy successful."};
}

// What an interrupted upload left, when there is no file of that name: resuming clients ask how
// much of it is here.
Task<Result<fs::NodeRef>> Session::interrupted(std::string path) {
  CO_TRY(place, co_await walker().place(std::move(path), fs::LastLink::follow));
  if (place.node || place.name.empty() || place.wants_directory)
    co_return fail(Errc::not_found, "upload");
  CO_TRY(part, co_await files().lookup(place.directory.id(), partial_name(place.name, 1)));
  co_return fs::NodeRef(&files(), part);
}

Task<Reply> Session::size(Step step) {
  auto node = co_await walker().node(step.path);
  if (!node && node.error().code == Errc::not_found) {
    auto part = co_await interrupted(step.path);
    if (part) node = std::move(part);
  }
  if (!node) co_return failed(node.error(), step.path);
  if (!node->is(fs::Kind::file)) co_return not_plain();
  const auto bytes = node->attributes().size;
  if (!control_.is_ascii()) co_return Reply{213, std::to_string(bytes)};
  if (bytes > ascii_size_max)
    co_return Reply{550, "Too large to count its lines; TYPE I gives the size."};
  OpenFile file(files());
  const fs::OpenFlags reading{.read = true};
  auto done = co_await file.open(node->id(), reading);
  WireCount count;
  for (std::uint64_t at = 0; done && at < bytes;) {
    auto piece = co_await files().read(file.id(), at, block);
    if (!piece)
      done = std::unexpected(std::move(piece.error()));
    else if (piece->empty())
      break;
    else
      count.add(*piece), at += piece->size();
  }
  co_await file.close();
  if (!done) co_return failed(done.error(), step.path);
  co_return Reply{213, std::to_string(count.wire_size())};
}

Task<Reply> Session::modified(Step step) {
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  if (!node->is(fs::Kind::file)) co_return not_plain();
  co_return Reply{213, time_value(node->attributes().times.modified)};
}

Task<Reply> Session::change(Step step, fs::Changes changes, Reply done) {
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  auto changed = co_await files().change(node->id(), changes, std::nullopt);
  if (!changed) co_return failed(changed.error(), step.path);
  co_return done;
}

Task<Reply> Session::set_facts(Step step) {
  const auto facts = parse_fact_changes(step.text);
  if (!facts) co_return Reply{504, "These facts cannot be changed."};
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  auto changed = co_await files().change(node->id(), facts->changes, std::nullopt);
  if (!changed) co_return failed(changed.error(), step.path);
  if (facts->created) {
    auto kept = co_await files().set_xattr(node->id(), created_attribute, to_bytes(*facts->created),
                                           fs::XattrMode::set);
    if (!kept) co_return failed(kept.error(), step.path);
  }
  co_return Reply{213, facts->said + " " + step.name};
}

Task<Reply> Session::make_link(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path, true);
  if (place->node || place->name.empty()) co_return Reply{550, "File exists."};
  auto made = co_await files().symlink(place->directory.id(), place->name, step.second, caller());
  if (!made) co_return failed(made.error(), step.path, true);
  files().forget(made->id, 1);
  co_return Reply{200, "SITE SYMLINK command ok."};
}

Task<Reply> Session::available(Step step) {
  if (step.what == Do::available) {
    auto node = co_await walker().node(step.path);
    if (!node) co_return failed(node.error(), step.path);
    if (!node->is(fs::Kind::directory)) co_return Reply{550, "Not a directory."};
  }
  auto space = co_await files().space();
  if (step.what == Do::available) {
    if (!space) co_return failed(space.error(), step.path);
    co_return Reply{213, std::to_string(space->available)};
  }
  // ALLO: early and clean, before all of it has been sent.
  if (space && step.number > space->available)
    co_return Reply{552, "There is no room for that many bytes."};
  co_return Reply{202, "Noted; storage is allocated as it is used."};
}

Task<Reply> Session::machine_facts(Step step) {
  auto place = co_await walker().place(step.path);
  if (!place) co_return failed(place.error(), step.path);
  if (!place->node) co_return Reply{550, "No such file or directory."};
  const auto& node = *place->node;
  FactsOf of{node.attributes()};
  of.writable = !read_only_;
  std::string target, created;
  if (node.is(fs::Kind::symlink)) {
    auto read = co_await files().readlink(node.id());
    if (read) target = std::move(*read);
    of.link_target = target;
  }
  if (control_.facts() & bit(Fact::create)) {
    auto kept = co_await files().xattr(node.id(), created_attribute);
    if (kept && parse_time_value(as_text(*kept))) created = to_text(*kept);
    of.created = created;
  }
  std::string line;
  append_facts(line, of, control_.facts());
  line += place->path;
  co_return Reply{250, "Listing " + step.name, {line}, "End"};
}

}  // namespace lafs::ftp
