// SPDX-License-Identifier: Apache-2.0
// rename(2) and renameat2(2): every combination of what is there.
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

constexpr unsigned no_replace = 1, exchange = 2;  // RENAME_*: not in every libc

int rename2(const std::string& a, const std::string& b, unsigned flags) {
  const auto result =
      static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), flags));
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) {
    throw Skipped{"this filesystem knows no RENAME_ flags"};
  }
  return result;
}

int move(const std::string& a, const std::string& b) { return ::rename(a.c_str(), b.c_str()); }
void make(const std::string& path) { MUST(::mkdir(path.c_str(), 0755) == 0); }

void plain(const std::string& d) {
  write_file(d + "/a", "x");
  MUST(move(d + "/a", d + "/b") == 0);
  MUST(names_in(d) == std::vector<std::string>{"b"});
  MUST(read_file(d + "/b") == "x");
  MUST_FAIL(move(d + "/a", d + "/c"), ENOENT);
  MUST_FAIL(move(d + "/b", d + "/nowhere/c"), ENOENT);
}

void over_a_file(const std::string& d) {
  write_file(d + "/a", "new");
  write_file(d + "/b", "old");
  const auto ino = stat_of(d + "/a").st_ino;
  MUST(move(d + "/a", d + "/b") == 0);
  MUST(read_file(d + "/b") == "new");
  MUST(stat_of(d + "/b").st_ino == ino);
  MUST(names_in(d) == std::vector<std::string>{"b"});
}

void over_directories(const std::string& d) {
  make(d + "/a");
  make(d + "/a/inside");
  make(d + "/empty");
  make(d + "/full");
  make(d + "/full/x");
  MUST_FAIL(move(d + "/a", d + "/full"), ENOTEMPTY);
  MUST(move(d + "/a", d + "/empty") == 0);
  MUST(exists(d + "/empty/inside"));
  MUST(!exists(d + "/a"));
}

void wrong_kinds(const std::string& d) {
  write_file(d + "/f", "x");
  make(d + "/dir");
  MUST_FAIL(move(d + "/f", d + "/dir"), EISDIR);
  MUST_FAIL(move(d + "/dir", d + "/f"), ENOTDIR);
  MUST_FAIL(move(d + "/f", d + "/f/below"), ENOTDIR);
  MUST(read_file(d + "/f") == "x");
}

void into_itself(const std::string& d) {
  make(d + "/a");
  make(d + "/a/b");
  make(d + "/a/b/c");
  MUST_FAIL(move(d + "/a", d + "/a/x"), EINVAL);
  MUST_FAIL(move(d + "/a", d + "/a/b/c/x"), EINVAL);
  MUST_FAIL(move(d + "/a/b/c", d + "/a"), ENOTEMPTY);
  MUST_FAIL(move(d + "/a/.", d + "/x"), EBUSY);
  MUST(exists(d + "/a/b/c"));
}

void to_itself(const std::string& d) {
  write_file(d + "/f", "x");
  make(d + "/dir");
  MUST(move(d + "/f", d + "/f") == 0);
  MUST(move(d + "/dir", d + "/dir") == 0);
  MUST(read_file(d + "/f") == "x");
}

void across_directories(const std::string& d) {
  make(d + "/from");
  make(d + "/to");
  make(d + "/from/dir");
  write_file(d + "/from/f", "file");
  write_file(d + "/from/dir/g", "below");
  write_file(d + "/to/f", "replaced");
  MUST(move(d + "/from/f", d + "/to/f") == 0);
  MUST(move(d + "/from/dir", d + "/to/moved") == 0);
  MUST(read_file(d + "/to/f") == "file");
  MUST(read_file(d + "/to/moved/g") == "below");
  MUST(names_in(d + "/from").empty());
  MUST(stat_of(d + "/to/moved/..").st_ino == stat_of(d + "/to").st_ino);
}

void of_symlinks(const std::string& d) {
  write_file(d + "/f", "x");
  MUST(::symlink("f", (d + "/l").c_str()) == 0);
  MUST(move(d + "/l", d + "/m") == 0);  // the link, not what it points to
  MUST(S_ISLNK(lstat_of(d + "/m").st_mode));
  MUST(read_file(d + "/m") == "x");
  write_file(d + "/g", "y");
  MUST(move(d + "/g", d + "/m") == 0);
  MUST(S_ISREG(lstat_of(d + "/m").st_mode));
  MUST(read_file(d + "/f") == "x");
}

void without_replacing(const std::string& d) {
  write_file(d + "/a", "a");
  write_file(d + "/b", "b");
  MUST(rename2(d + "/a", d + "/c", no_replace) == 0);
  MUST_FAIL(rename2(d + "/c", d + "/b", no_replace), EEXIST);
  MUST(read_file(d + "/b") == "b" && read_file(d + "/c") == "a");
}

void exchanging(const std::string& d) {
  write_file(d + "/a", "a");
  write_file(d + "/b", "b");
  make(d + "/dir");
  write_file(d + "/dir/inside", "i");
  MUST(rename2(d + "/a", d + "/b", exchange) == 0);
  MUST(read_file(d + "/a") == "b" && read_file(d + "/b") == "a");
  MUST(rename2(d + "/a", d + "/dir", exchange) == 0);  // any kinds
  MUST(read_file(d + "/dir") == "b" && read_file(d + "/a/inside") == "i");
  MUST_FAIL(rename2(d + "/a", d + "/missing", exchange), ENOENT);
}

void exchanging_across_directories(const std::string& d) {
  make(d + "/one");
  make(d + "/two");
  write_file(d + "/one/f", "1");
  make(d + "/two/dir");
  write_file(d + "/two/dir/g", "2");
  MUST(rename2(d + "/one/f", d + "/two/dir", exchange) == 0);
  MUST(read_file(d + "/two/dir") == "1");
  MUST(read_file(d + "/one/f/g") == "2");
  MUST(::rmdir((d + "/one/f").c_str()) == -1 && errno == ENOTEMPTY);
}

// As editors and mail programs do: at no moment is there nothing or half of something.
void replacing_is_atomic(const std::string& d) {
  write_file(d + "/f", std::string(1000, '0'));
  const pid_t child = ::fork();
  MUST(child >= 0);
  if (child == 0) {
    for (int i = 0; i < 100; ++i) {
      const auto temporary = d + "/new";
      try {
        write_file(temporary, std::string(1000, static_cast<char>('0' + i % 10)));
      } catch (const Failure&) {
        ::_exit(1);
      }
      if (move(temporary, d + "/f") != 0) ::_exit(1);
    }
    ::_exit(0);
  }
  const std::string why = [&]() -> std::string {
    for (int i = 0; i < 300; ++i) {
      try {
        const auto content = read_file(d + "/f");
        if (content != std::string(1000, content.empty() ? '?' : content[0])) return "half a file";
      } catch (const Failure& f) {
        return f.what;
      }
    }
    return {};
  }();
  int status = 0;
  MUST(::waitpid(child, &status, 0) == child && status == 0);
  if (!why.empty()) throw Failure{why};
}

}  // namespace

std::vector<Rule> rename_rules() {
  return {{"rename/plain", plain},
          {"rename/over-file", over_a_file},
          {"rename/over-directories", over_directories},
          {"rename/wrong-kinds", wrong_kinds},
          {"rename/into-itself", into_itself},
          {"rename/to-itself", to_itself},
          {"rename/across-directories", across_directories},
          {"rename/symlinks", of_symlinks},
          {"rename/no-replace", without_replacing},
          {"rename/exchange", exchanging},
          {"rename/exchange-across-directories", exchanging_across_directories},
          {"rename/replacing-is-atomic", replacing_is_atomic}};
}

}  // namespace conformance
