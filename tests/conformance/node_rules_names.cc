// SPDX-License-Identifier: Apache-2.0
// References, names, renaming, listings.
#include <algorithm>
#include <map>
#include <set>

#include "tests/conformance/node_rules.h"

namespace conformance {

using lafs::Task;

namespace {

using Names = std::vector<std::string>;
constexpr auto replace = fs::RenameMode::replace;
constexpr auto no_replace = fs::RenameMode::no_replace;
constexpr auto exchange = fs::RenameMode::exchange;

Names sorted(Names names) {
  std::sort(names.begin(), names.end());
  return names;
}

Task<> names_are_checked(Place& p) {
  const fs::OpenFlags how{.read = false, .write = true};
  const fs::Caller me;
  const std::string nul(1, '\0'), too_long(256, 'n'), not_utf8 = "\xff", overlong = "\xc0\xaf";
  const std::string surrogate = "\xed\xa0\x80", with_slash = "a/b";
  for (const std::string& bad : {std::string(), std::string("."), std::string(".."), with_slash,
                                 nul, not_utf8, overlong, surrogate}) {
    REFUSED(bad_name, co_await p.files.lookup(p.room, bad));
    REFUSED(bad_name, co_await p.files.mkdir(p.room, bad, 0755, me));
    REFUSED(bad_name, co_await p.files.create(p.room, bad, 0644, how, false, me));
    REFUSED(bad_name, co_await p.files.symlink(p.room, bad, "x", me));
  }
  REFUSED(name_too_long, co_await p.files.lookup(p.room, too_long));
  REFUSED(name_too_long, co_await p.files.mkdir(p.room, too_long, 0755, me));
  co_await p.file(p.room, "f");
  REFUSED(name_too_long, co_await p.files.rename(p.room, "f", p.room, too_long, replace));
  REFUSED(bad_name, co_await p.files.rename(p.room, "f", p.room, not_utf8, replace));
  co_await p.file(p.room, std::string(255, 'n'));
  co_await p.file(p.room, "\u00fc\u4e2d\U0001f600");
  const auto names = co_await p.list(p.room);
  MUST(names.size() == 3);
}

Task<> missing_names(Place& p) {
  REFUSED(not_found, co_await p.files.lookup(p.room, "x"));
  REFUSED(not_found, co_await p.files.unlink(p.room, "x"));
  REFUSED(not_found, co_await p.files.rmdir(p.room, "x"));
  REFUSED(not_found, co_await p.files.rename(p.room, "x", p.room, "y", replace));
}

Task<> kinds_are_told_apart(Place& p) {
  const auto file = co_await p.file(p.room, "f");
  co_await p.directory(p.room, "d");
  REFUSED(not_directory, co_await p.files.lookup(file, "x"));
  REFUSED(not_directory, co_await p.files.mkdir(file, "x", 0755, fs::Caller{}));
  REFUSED(not_directory, co_await p.files.open_directory(file));
  REFUSED(not_directory, co_await p.files.rmdir(p.room, "f"));
  REFUSED(is_directory, co_await p.files.unlink(p.room, "d"));
  const fs::OpenFlags how;
  REFUSED(is_directory, co_await p.files.open(p.room, how));
  REFUSED(exists, co_await p.files.mkdir(p.room, "f", 0755, fs::Caller{}));
  REFUSED(exists, co_await p.files.symlink(p.room, "d", "x", fs::Caller{}));
  REFUSED(bad_argument, co_await p.files.readlink(file));
}

Task<> a_lookup_finds_the_same_node(Place& p) {
  const auto made = co_await p.file(p.room, "f", "content");
  FINE(found, co_await p.files.lookup(p.room, "f"));
  p.hold(found.id);
  MUST(found.id == made);
  MUST(found.kind == fs::Kind::file && found.size == 7 && found.mode == 0644);
  FINE(again, co_await p.files.attributes(made));
  MUST(again.id == made && again.size == 7);
}

// A node is known until the last reference is given back, and then not.
Task<> references_are_counted(Place& p) {
  const auto made = co_await p.file(p.room, "f");  // one, held by the place
  FINE(second, co_await p.files.lookup(p.room, "f"));
  FINE(third, co_await p.files.lookup(p.room, "f"));
  MUST(second.id == made && third.id == made);
  FINE_DO(co_await p.files.unlink(p.room, "f"));
  p.files.forget(made, 2);
  FINE(attributes, co_await p.files.attributes(made));
  MUST(attributes.links == 0);
  p.let_go();
  REFUSED(bad_handle, co_await p.files.attributes(made));
}

Task<> unknown_things_are_bad_handles(Place& p) {
  const fs::NodeId node{1ull << 60};
  const fs::HandleId handle{1ull << 60};
  const fs::OpenFlags how;
  p.files.forget(node, 5);
  REFUSED(bad_handle, co_await p.files.lookup(node, "x"));
  REFUSED(bad_handle, co_await p.files.attributes(node));
  REFUSED(bad_handle, co_await p.files.open(node, how));
  REFUSED(bad_handle, co_await p.files.read(handle, 0, 10));
  REFUSED(bad_handle, co_await p.files.write(handle, 0, lafs::as_bytes("x")));
  REFUSED(bad_handle, co_await p.files.flush(handle));
  REFUSED(bad_handle, co_await p.files.fsync(handle, false));
  REFUSED(bad_handle, co_await p.files.read_directory(handle, 0, 10, false));
  co_await p.files.release(handle);
  co_await p.files.close_directory(handle);
}

Task<> numbers_are_not_reused(Place& p) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 20; ++i) {
    const auto made = co_await p.file(p.room, "f");
    MUST(seen.insert(made.value).second);
    FINE_DO(co_await p.files.unlink(p.room, "f"));
    p.let_go();
  }
}

Task<> directories_must_be_empty_to_go(Place& p) {
  const auto d = co_await p.directory(p.room, "d");
  co_await p.file(d, "f");
  REFUSED(not_empty, co_await p.files.rmdir(p.room, "d"));
  FINE_DO(co_await p.files.unlink(d, "f"));
  FINE_DO(co_await p.files.rmdir(p.room, "d"));
  const auto gone = co_await p.missing(p.room, "d");
  MUST(gone == Errc::not_found);
  REFUSED(not_found, co_await p.files.mkdir(d, "x", 0755, fs::Caller{}));
}

Task<> renaming(Place& p) {
  const auto d = co_await p.directory(p.room, "d");
  const auto f = co_await p.file(p.room, "f", "content");
  FINE_DO(co_await p.files.rename(p.room, "f", d, "g", replace));
  FINE(moved, co_await p.files.lookup(d, "g"));
  p.hold(moved.id);
  MUST(moved.id == f);
  const auto gone = co_await p.missing(p.room, "f");
  MUST(gone == Errc::not_found);
  FINE_DO(co_await p.files.rename(d, "g", d, "g", replace));  // onto itself
  const auto content = co_await p.content(f);
  MUST(content == "content");
}

Task<> renaming_over_something(Place& p) {
  const auto a = co_await p.file(p.room, "a", "a");
  const auto b = co_await p.file(p.room, "b", "b");
  FINE_DO(co_await p.files.rename(p.room, "a", p.room, "b", replace));
  FINE(found, co_await p.files.lookup(p.room, "b"));
  p.hold(found.id);
  MUST(found.id == a);
  FINE(replaced, co_await p.files.attributes(b));
  MUST(replaced.links == 0);
  co_await p.directory(p.room, "empty");
  const auto full = co_await p.directory(p.room, "full");
  co_await p.file(full, "x");
  REFUSED(is_directory, co_await p.files.rename(p.room, "b", p.room, "empty", replace));
  REFUSED(not_directory, co_await p.files.rename(p.room, "empty", p.room, "b", replace));
  REFUSED(not_empty, co_await p.files.rename(p.room, "empty", p.room, "full", replace));
  FINE_DO(co_await p.files.rename(p.room, "full", p.room, "empty", replace));
  const auto names = sorted(co_await p.list(p.room));
  MUST(names == Names{"b", "empty"});
}

Task<> renaming_below_itself(Place& p) {
  const auto a = co_await p.directory(p.room, "a");
  const auto b = co_await p.directory(a, "b");
  REFUSED(bad_argument, co_await p.files.rename(p.room, "a", a, "x", replace));
  REFUSED(bad_argument, co_await p.files.rename(p.room, "a", b, "x", replace));
  REFUSED(not_empty, co_await p.files.rename(a, "b", p.room, "a", replace));
}

Task<> renaming_without_replacing(Place& p) {
  co_await p.file(p.room, "a", "a");
  co_await p.file(p.room, "b", "b");
  REFUSED(exists, co_await p.files.rename(p.room, "a", p.room, "b", no_replace));
  FINE_DO(co_await p.files.rename(p.room, "a", p.room, "c", no_replace));
  const auto names = sorted(co_await p.list(p.room));
  MUST(names == Names{"b", "c"});
}

Task<> exchanging_names(Place& p) {
  const auto d = co_await p.directory(p.room, "d");
  const auto f = co_await p.file(p.room, "f", "f");
  const auto g = co_await p.file(d, "g", "g");
  FINE_DO(co_await p.files.rename(p.room, "f", d, "g", exchange));
  FINE(one, co_await p.files.lookup(p.room, "f"));
  p.hold(one.id);
  FINE(two, co_await p.files.lookup(d, "g"));
  p.hold(two.id);
  MUST(one.id == g && two.id == f);
  REFUSED(not_found, co_await p.files.rename(p.room, "f", p.room, "none", exchange));
  REFUSED(bad_argument, co_await p.files.rename(p.room, "d", d, "g", exchange));
}

Task<> symbolic_links(Place& p) {
  FINE(made, co_await p.files.symlink(p.room, "l", "../target", fs::Caller{}));
  p.hold(made.id);
  MUST(made.kind == fs::Kind::symlink && made.size == 9);
  FINE(target, co_await p.files.readlink(made.id));
  MUST(target == "../target");
}

Task<> fifos_and_sockets(Place& p) {
  for (const auto kind : {fs::Kind::fifo, fs::Kind::socket}) {
    const std::string name = kind == fs::Kind::fifo ? "fifo" : "socket";
    FINE(made, co_await p.files.mknod(p.room, name, kind, 0600, fs::Caller{}));
    p.hold(made.id);
    FINE(found, co_await p.files.lookup(p.room, name));
    p.hold(found.id);
    MUST(found.kind == kind && found.mode == 0600);
    REFUSED(exists, co_await p.files.mknod(p.room, name, kind, 0600, fs::Caller{}));
  }
  REFUSED(bad_argument,
          co_await p.files.mknod(p.room, "d", fs::Kind::directory, 0600, fs::Caller{}));
}

Task<> listings_come_in_pieces(Place& p) {
  Names expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back("f" + std::to_string(i));
    co_await p.file(p.room, expected.back());
  }
  for (const std::size_t step : {1, 3, 20, 1000}) {
    const auto names = sorted(co_await p.list(p.room, step));
    MUST(names == sorted(expected));
  }
}

Task<> listings_carry_attributes(Place& p) {
  co_await p.file(p.room, "f", "12345");
  co_await p.directory(p.room, "d");
  FINE(handle, co_await p.files.open_directory(p.room));
  FINE(entries, co_await p.files.read_directory(handle, 0, 10, false));
  MUST(entries.size() == 2);
  for (const auto& entry : entries) {
    FINE(looked_up, co_await p.files.lookup(p.room, entry.name));
    p.hold(looked_up.id);
    MUST(looked_up.id == entry.attributes.id && looked_up.kind == entry.attributes.kind);
    MUST(looked_up.size == entry.attributes.size && looked_up.mode == entry.attributes.mode);
  }
  co_await p.files.close_directory(handle);
}

Task<> listings_give_references(Place& p) {
  const auto made = co_await p.file(p.room, "f");
  FINE(handle, co_await p.files.open_directory(p.room));
  FINE(entries, co_await p.files.read_directory(handle, 0, 10, true));
  MUST(entries.size() == 1);
  co_await p.files.close_directory(handle);
  FINE_DO(co_await p.files.unlink(p.room, "f"));
  p.let_go();  // what create gave; the listing's is left
  FINE_DO(co_await p.files.attributes(made));
  p.files.forget(made, 1);
  REFUSED(bad_handle, co_await p.files.attributes(made));
}

// What is there all the time is listed exactly once, and no name twice, whatever else happens.
Task<> listings_while_names_come_and_go(Place& p) {
  for (int i = 0; i < 20; ++i) {
    co_await p.file(p.room, "stays" + std::to_string(i));
    co_await p.file(p.room, "goes" + std::to_string(i));
  }
  FINE(handle, co_await p.files.open_directory(p.room));
  std::map<std::string, int> seen;
  std::uint64_t after = 0;
  for (int i = 0;; ++i) {
    FINE(part, co_await p.files.read_directory(handle, after, 2, false));
    if (part.empty()) break;
    MUST(i < 200);
    for (const auto& entry : part) ++seen[entry.name];
    after = part.back().cookie;
    if (i >= 20) continue;
    const auto n = std::to_string(i);
    FINE_DO(co_await p.files.unlink(p.room, "goes" + n));
    co_await p.file(p.room, "new" + n);
    // Replaces a name that is there all the time.
    FINE_DO(co_await p.files.rename(p.room, "new" + n, p.room, "stays" + n, replace));
  }
  co_await p.files.close_directory(handle);
  for (int i = 0; i < 20; ++i) MUST(seen["stays" + std::to_string(i)] == 1);
  for (const auto& [name, times] : seen) MUST(times == 1);
}

Task<> a_removed_directory_lists_nothing(Place& p) {
  const auto d = co_await p.directory(p.room, "d");
  FINE(handle, co_await p.files.open_directory(d));
  FINE_DO(co_await p.files.rmdir(p.room, "d"));
  FINE(entries, co_await p.files.read_directory(handle, 0, 10, false));
  MUST(entries.empty());
  co_await p.files.close_directory(handle);
}

}  // namespace

std::vector<NodeRule> node_name_rules() {
  return {{"names-are-checked", names_are_checked},
          {"missing-names", missing_names},
          {"kinds", kinds_are_told_apart},
          {"lookup-finds-the-same-node", a_lookup_finds_the_same_node},
          {"references", references_are_counted},
          {"unknown-things", unknown_things_are_bad_handles},
          {"numbers-are-not-reused", numbers_are_not_reused},
          {"rmdir-needs-empty", directories_must_be_empty_to_go},
          {"rename", renaming},
          {"rename-over", renaming_over_something},
          {"rename-below-itself", renaming_below_itself},
          {"rename-no-replace", renaming_without_replacing},
          {"rename-exchange", exchanging_names},
          {"symlink", symbolic_links},
          {"fifo-socket", fifos_and_sockets},
          {"list-in-pieces", listings_come_in_pieces},
          {"list-attributes", listings_carry_attributes},
          {"list-references", listings_give_references},
          {"list-while-changing", listings_while_names_come_and_go},
          {"list-removed", a_removed_directory_lists_nothing}};
}

}  // namespace conformance
