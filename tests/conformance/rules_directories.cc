// SPDX-License-Identifier: Apache-2.0
// Directories: making, removing, and above all listing them while they change.
#include <map>
#include <set>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

void make(const std::string& path) { MUST(::mkdir(path.c_str(), 0755) == 0); }

void fill(const std::string& d, int count, const std::string& prefix) {
  for (int i = 0; i < count; ++i) write_file(d + "/" + prefix + std::to_string(i), "");
}

void mkdir_and_rmdir(const std::string& d) {
  make(d + "/a");
  MUST(S_ISDIR(stat_of(d + "/a").st_mode));
  MUST_FAIL(::mkdir((d + "/a").c_str(), 0755), EEXIST);
  make(d + "/a/b");
  MUST_FAIL(::rmdir((d + "/a").c_str()), ENOTEMPTY);
  MUST(::rmdir((d + "/a/b").c_str()) == 0);
  MUST(::rmdir((d + "/a").c_str()) == 0);
  MUST(!exists(d + "/a"));
}

void wrong_kinds(const std::string& d) {
  write_file(d + "/f", "x");
  make(d + "/dir");
  MUST_FAIL(::mkdir((d + "/f").c_str(), 0755), EEXIST);
  MUST_FAIL(::rmdir((d + "/f").c_str()), ENOTDIR);
  MUST_FAIL(::unlink((d + "/dir").c_str()), EISDIR);
  MUST_FAIL(::open((d + "/dir").c_str(), O_WRONLY), EISDIR);
  MUST_FAIL(::truncate((d + "/dir").c_str(), 0), EISDIR);
  MUST_FAIL(::rmdir((d + "/dir/.").c_str()), EINVAL);
  const Fd open_dir(d + "/dir", O_RDONLY | O_DIRECTORY);
  char c = 0;
  MUST_FAIL(::read(open_dir, &c, 1), EISDIR);
}

void dots_are_listed(const std::string& d) {
  Dir dir(d);
  std::set<std::string> names;
  while (const auto* entry = ::readdir(dir.get())) names.insert(entry->d_name);
  MUST(names == std::set<std::string>{".", ".."});
}

void entries_have_kind_and_number(const std::string& d) {
  write_file(d + "/f", "x");
  make(d + "/dir");
  MUST(::symlink("f", (d + "/l").c_str()) == 0);
  MUST(::mkfifo((d + "/p").c_str(), 0600) == 0);
  const std::map<std::string, int> kinds = {
      {"f", DT_REG}, {"dir", DT_DIR}, {"l", DT_LNK}, {"p", DT_FIFO}};
  Dir dir(d);
  int seen = 0;
  while (const auto* entry = dir.next()) {
    ++seen;
    MUST(entry->d_type == DT_UNKNOWN || entry->d_type == kinds.at(entry->d_name));
    MUST(entry->d_ino == lstat_of(d + "/" + entry->d_name).st_ino);
  }
  MUST(seen == 4);
}

void dot_is_this_directory(const std::string& d) {
  Dir dir(d);
  while (const auto* entry = ::readdir(dir.get())) {
    if (std::string(entry->d_name) == ".") MUST(entry->d_ino == stat_of(d).st_ino);
  }
  make(d + "/sub");
  MUST(stat_of(d + "/sub/..").st_ino == stat_of(d).st_ino);
  MUST(stat_of(d + "/sub/.").st_ino == stat_of(d + "/sub").st_ino);
}

void big_directory(const std::string& d) {
  constexpr int count = 3000;
  fill(d, count, "a-name-of-some-length-");
  MUST(names_in(d).size() == count);
  Dir dir(d);
  std::set<std::string> names;
  while (const auto* entry = dir.next()) {
    MUST(names.insert(entry->d_name).second);
    MUST(stat_of(d + "/" + entry->d_name).st_ino == entry->d_ino);
  }
  MUST(names.size() == count);
}

void remove_while_listing(const std::string& d) {
  fill(d, 1000, "f");
  Dir dir(d);
  while (const auto* entry = dir.next()) MUST(::unlink((d + "/" + entry->d_name).c_str()) == 0);
  MUST(names_in(d).empty());
}

void list_while_changing(const std::string& d) {
  fill(d, 600, "stays");
  fill(d, 600, "goes");
  Dir dir(d);
  std::map<std::string, int> seen;
  int step = 0;
  while (const auto* entry = dir.next()) {
    ++seen[entry->d_name];
    if (step < 600) {
      MUST(::unlink((d + "/goes" + std::to_string(step)).c_str()) == 0);
      write_file(d + "/comes" + std::to_string(step), "");
    }
    ++step;
    MUST(step < 5000);
  }
  for (int i = 0; i < 600; ++i) MUST(seen["stays" + std::to_string(i)] == 1);
  for (const auto& [name, times] : seen) MUST(times <= 1);
  MUST(names_in(d).size() == 1200);
}

void rewind_sees_changes(const std::string& d) {
  write_file(d + "/one", "");
  Dir dir(d);
  while (dir.next()) {
  }
  write_file(d + "/two", "");
  MUST(::unlink((d + "/one").c_str()) == 0);
  ::rewinddir(dir.get());
  const auto* entry = dir.next();
  MUST(entry && std::string(entry->d_name) == "two");
  MUST(!dir.next());
}

void tell_and_seek(const std::string& d) {
  fill(d, 300, "f");
  Dir dir(d);
  std::vector<std::pair<long, std::string>> places;
  for (;;) {
    const long place = ::telldir(dir.get());
    const auto* entry = dir.next();
    if (!entry) break;
    places.emplace_back(place, entry->d_name);
  }
  // The first places are before "." and "..", which next() steps over as well.
  for (std::size_t i = places.size(); i-- > 0;) {
    ::seekdir(dir.get(), places[i].first);
    const auto* entry = dir.next();
    MUST(entry && places[i].second == entry->d_name);
  }
}

void removed_while_open(const std::string& d) {
  make(d + "/gone");
  Dir dir(d + "/gone");
  const Fd at(::dup(::dirfd(dir.get())));
  MUST(::rmdir((d + "/gone").c_str()) == 0);
  MUST(!dir.next());
  MUST_FAIL(::openat(at, "new", O_WRONLY | O_CREAT, 0644), ENOENT);
  MUST_FAIL(::mkdirat(at, "new", 0755), ENOENT);
  make(d + "/gone");  // the name is free, and is another directory
  MUST(stat_of(d + "/gone").st_ino != stat_of(at).st_ino);
}

void deep_tree(const std::string& d) {
  std::string path = d;
  for (int i = 0; i < 60; ++i) make(path += "/level" + std::to_string(i));
  write_file(path + "/f", "deep");
  MUST(read_file(path + "/f") == "deep");
}

void relative_to_open_directory(const std::string& d) {
  make(d + "/a");
  const Fd a(d + "/a", O_RDONLY | O_DIRECTORY);
  MUST(::rename((d + "/a").c_str(), (d + "/b").c_str()) == 0);
  const Fd f(::openat(a, "f", O_WRONLY | O_CREAT, 0644));
  MUST(f >= 0);
  MUST(exists(d + "/b/f"));
  MUST(::unlinkat(a, "f", 0) == 0);
}

void sync_of_directory(const std::string& d) {
  write_file(d + "/f", "x");
  const Fd dir(d, O_RDONLY | O_DIRECTORY);
  MUST(::fsync(dir) == 0);
  MUST(::fdatasync(dir) == 0);
}

void numbers_are_stable(const std::string& d) {
  make(d + "/a");
  write_file(d + "/f", "x");
  const auto f = stat_of(d + "/f").st_ino, a = stat_of(d + "/a").st_ino;
  MUST(f != a && f != 0 && a != 0);
  MUST(::rename((d + "/f").c_str(), (d + "/a/g").c_str()) == 0);
  write_file(d + "/f", "another");
  MUST(stat_of(d + "/a/g").st_ino == f);
  MUST(stat_of(d + "/f").st_ino != f);
  write_file(d + "/a/g", "same file, new content");
  MUST(stat_of(d + "/a/g").st_ino == f);
  MUST(stat_of(d + "/a").st_ino == a);
}

}  // namespace

std::vector<Rule> directory_rules() {
  return {{"directories/mkdir-rmdir", mkdir_and_rmdir},
          {"directories/wrong-kinds", wrong_kinds},
          {"directories/dots-are-listed", dots_are_listed},
          {"directories/kind-and-number", entries_have_kind_and_number},
          {"directories/dot-is-this", dot_is_this_directory},
          {"directories/big", big_directory},
          {"directories/remove-while-listing", remove_while_listing},
          {"directories/list-while-changing", list_while_changing},
          {"directories/rewind", rewind_sees_changes},
          {"directories/tell-seek", tell_and_seek},
          {"directories/removed-while-open", removed_while_open},
          {"directories/deep", deep_tree},
          {"directories/relative-to-open", relative_to_open_directory},
          {"directories/fsync", sync_of_directory},
          {"directories/stable-numbers", numbers_are_stable}};
}

}  // namespace conformance
