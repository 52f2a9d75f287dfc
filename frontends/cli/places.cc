// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/places.h"

#include "frontends/cli/control_client.h"

namespace lafs::cli {

namespace {

std::string joined(const std::string& above, const std::string& name) {
  const bool root = above.ends_with(':') || above.ends_with('/');
  return above + (root ? "" : "/") + name;
}

Task<Result<std::shared_ptr<CachedDirectory>>> open_directory(Session& session, Cap cap,
                                                              std::string text) {
  if (!cap.is_directory()) co_return fail(Errc::not_directory, std::move(text));
  auto directory = co_await session.cached().directory(cap);
  if (!directory) co_return annotate(std::move(directory.error()), text);
  auto read = co_await (*directory)->refresh();
  if (!read) co_return annotate(std::move(read.error()), text);
  co_return std::move(*directory);
}

}  // namespace

Result<Cap> root_cap(const grid::NodeDir& node, const Target& target) {
  if (!target.cap.empty()) return Cap::parse_known(target.cap);
  TRY(text, node.alias(target.alias));
  auto cap = Cap::parse_known(text);
  if (!cap) {
    return fail(Errc::bad_config, "alias " + target.alias + ": in " +
                                      node.private_path("aliases").string() +
                                      " is not a cap that can be used");
  }
  return cap;
}

Task<Result<Place>> find_place(Session& session, Target target) {
  co_await flush_daemon(session.node().path());
  Place out;
  CO_TRY(root, root_cap(session.node(), target));
  auto base = target;
  base.path.clear();
  out.text = base.text();
  out.cap = std::move(root);
  for (auto& name : target.path) {
    if (!out.exists()) co_return fail(Errc::not_found, out.text);
    CO_TRY(next, co_await place_in(session, out, std::move(name)));
    out = std::move(next);
  }
  if (target.is_folder && out.exists() && !out.is_directory()) {
    co_return fail(Errc::not_directory, out.text);
  }
  co_return out;
}

Task<Result<Place>> existing_place(Session& session, Target target) {
  CO_TRY(place, co_await find_place(session, std::move(target)));
  if (!place.exists()) co_return fail(Errc::not_found, place.text);
  co_return place;
}

Task<Result<Place>> place_in(Session& session, const Place& directory, std::string name) {
  CO_TRY(normal, grid::normalise_name(name));
  CO_TRY(parent, co_await open_directory(session, *directory.cap, directory.text));
  Place out;
  out.text = joined(directory.text, normal);
  out.above = directory.above;
  out.above.push_back(*directory.cap);
  out.child = parent->find(normal);
  if (out.child) out.cap = out.child->cap;
  out.parent = std::move(parent);
  out.name = std::move(normal);
  co_return out;
}

Task<Result<Place>> destination_place(Session& session, Target target, std::string name) {
  const bool must_be_folder = target.is_folder || target.path.empty();
  CO_TRY(place, co_await find_place(session, std::move(target)));
  if (place.is_directory()) co_return co_await place_in(session, place, std::move(name));
  if (must_be_folder) {
    co_return fail(place.exists() ? Errc::not_directory : Errc::not_found, place.text);
  }
  co_return place;
}

Task<Result<std::shared_ptr<CachedDirectory>>> directory_at(Session& session, const Place& place) {
  if (!place.cap) co_return fail(Errc::not_found, place.text);
  co_return co_await open_directory(session, *place.cap, place.text);
}

Result<grid::MutableFormat> format_named(std::string_view typed, std::string_view configured) {
  const auto name = typed.empty() ? configured : typed;
  if (name == "mdmf" || name == "MDMF") return grid::MutableFormat::mdmf;
  if (typed.empty() || name == "sdmf" || name == "SDMF") return grid::MutableFormat::sdmf;
  return fail(Errc::bad_argument, "\"" + std::string(typed) + "\": the formats are sdmf and mdmf");
}

Task<Result<Place>> make_directory_at(Session& session, Place place,
                                      std::optional<cache::PosixFacts> facts,
                                      std::optional<grid::MutableFormat> format) {
  if (place.exists() || !place.parent) co_return fail(Errc::exists, place.text);
  if (!place.parent->writable()) {
    co_return fail(Errc::read_only, "the directory of " + place.text);
  }
  CO_TRY(cap, co_await session.client().create_directory({}, format));
  grid::Edit::Set set;
  set.name = place.name;
  set.cap = cap;
  set.overwrite = grid::Overwrite::never;
  if (facts) {
    set.metadata.emplace();
    set.metadata->set_posix(*facts);
  }
  std::vector<grid::Edit> edits;
  edits.emplace_back(std::move(set));
  auto done = co_await place.parent->apply(std::move(edits));
  if (!done) co_return annotate(std::move(done.error()), place.text);
  place.cap = cap;
  place.child = place.parent->find(place.name);
  co_return place;
}

}  // namespace lafs::cli
