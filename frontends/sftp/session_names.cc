// SPDX-License-Identifier: Apache-2.0

// Session: requests on names and attributes.

#include "frontends/sftp/reply.h"
#include "frontends/sftp/session.h"

namespace lafs::sftp {
namespace {
constexpr std::uint32_t default_directory_mode = 0777;
}  // namespace

Task<Result<Bytes>> Session::stat(Request& request, fs::LastLink last) {
  CO_TRY(node, co_await walker_.node(absolute(request.path), last));
  co_return attributes_packet(request.id, node.attributes());
}

Task<Result<Bytes>> Session::fstat(Request& request) {
  const auto found = open_.find(request.handle);
  if (found == open_.end()) co_return fail(Errc::bad_handle, "no such handle");
  CO_TRY(attributes, co_await files_.attributes(found->second->node.id()));
  co_return attributes_packet(request.id, attributes);
}

Task<Result<Bytes>> Session::setstat(Request& request, fs::LastLink last) {
  CO_TRY(node, co_await walker_.node(absolute(request.path), last));
  if (request.changes.size && node.is(fs::Kind::directory))
    co_return fail(Errc::is_directory, request.path);
  CO_TRY_DO(co_await files_.change(node.id(), request.changes, std::nullopt));
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::fsetstat(Request& request) {
  const auto found = open_.find(request.handle);
  if (found == open_.end()) co_return fail(Errc::bad_handle, "no such handle");
  const auto& open = *found->second;
  std::optional<fs::HandleId> through;
  if (!open.directory) through = open.id;
  if (request.changes.size && !open.flags.write)
    co_return fail(Errc::access_denied, "not open for writing");
  CO_TRY_DO(co_await files_.change(open.node.id(), request.changes, through));
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::remove(Request& request) {
  CO_TRY(place, co_await walker_.place(absolute(request.path)));
  if (!place.node) co_return fail(Errc::not_found, place.path);
  if (place.node->is(fs::Kind::directory)) co_return fail(Errc::is_directory, place.path);
  CO_TRY_DO(co_await files_.unlink(place.directory.id(), place.name));
  co_return status_packet(request.id, Status::ok, "");
}

// Where something of that name can be made.
Task<Result<fs::Walker::Place>> Session::new_place(const std::string& path, bool directory) {
  CO_TRY(place, co_await walker_.place(absolute(path)));
  if (place.node) co_return fail(Errc::exists, place.path);
  if (place.wants_directory && !directory) co_return fail(Errc::not_found, place.path);
  co_return place;
}

Task<Result<Bytes>> Session::mkdir(Request& request) {
  CO_TRY(place, co_await new_place(request.path, true));
  const auto mode = request.changes.mode.value_or(default_directory_mode) & ~options_.umask;
  CO_TRY(made, co_await files_.mkdir(place.directory.id(), place.name, mode, options_.caller));
  fs::NodeRef given_back(&files_, made);
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::rmdir(Request& request) {
  CO_TRY(place, co_await walker_.place(absolute(request.path)));
  if (!place.node) co_return fail(Errc::not_found, place.path);
  if (!place.node->is(fs::Kind::directory)) co_return fail(Errc::not_directory, place.path);
  if (place.name.empty()) co_return fail(Errc::busy, place.path);
  CO_TRY_DO(co_await files_.rmdir(place.directory.id(), place.name));
  co_return status_packet(request.id, Status::ok, "");
}

// REALPATH and expand-path: in both "~" at the beginning is the account's home.
Task<Result<Bytes>> Session::realpath(Request& request) {
  auto path = request.path;
  if (request.op == Op::expand_path && path.starts_with('~')) {
    const auto end = std::min(path.find('/'), path.size());
    if (end > 1 && path.substr(1, end - 1) != options_.account)
      co_return fail(Errc::not_found, "account " + path.substr(1, end - 1));
    path = options_.home + path.substr(end);
  }
  CO_TRY(real, co_await walker_.real_path(absolute(path)));
  co_return name_packet(request.id, real);
}

Task<Result<Bytes>> Session::rename(Request& request, fs::RenameMode mode) {
  CO_TRY(from, co_await walker_.place(absolute(request.path)));
  if (!from.node) co_return fail(Errc::not_found, from.path);
  CO_TRY(to, co_await walker_.place(absolute(request.second)));
  if (from.name.empty() || to.name.empty()) co_return fail(Errc::busy, "the root directory");
  if (to.wants_directory && !from.node->is(fs::Kind::directory))
    co_return fail(Errc::not_directory, to.path);
  if (mode == fs::RenameMode::no_replace && to.node) co_return fail(Errc::exists, to.path);
  CO_TRY_DO(
      co_await files_.rename(from.directory.id(), from.name, to.directory.id(), to.name, mode));
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::readlink(Request& request) {
  CO_TRY(node, co_await walker_.node(absolute(request.path), fs::LastLink::keep));
  if (!node.is(fs::Kind::symlink)) co_return fail(Errc::bad_argument, request.path + " is no link");
  CO_TRY(target, co_await files_.readlink(node.id()));
  co_return name_packet(request.id, target);
}

Task<Result<Bytes>> Session::symlink(Request& request) {
  CO_TRY(place, co_await new_place(request.second, false));
  CO_TRY(made,
         co_await files_.symlink(place.directory.id(), place.name, request.path, options_.caller));
  fs::NodeRef given_back(&files_, made);
  co_return status_packet(request.id, Status::ok, "");
}

Task<Result<Bytes>> Session::hardlink(Request& request) {
  CO_TRY(node, co_await walker_.node(absolute(request.path), fs::LastLink::keep));
  CO_TRY(place, co_await new_place(request.second, false));
  CO_TRY(made, co_await files_.link(node.id(), place.directory.id(), place.name));
  fs::NodeRef given_back(&files_, made);
  co_return status_packet(request.id, Status::ok, "");
}

}  // namespace lafs::sftp
