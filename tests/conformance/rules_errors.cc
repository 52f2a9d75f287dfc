// SPDX-License-Identifier: Apache-2.0
// Every call that takes a path, with every path that is wrong: the same error from all of them.
#include <limits.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

struct Call {
  const char* name;
  int (*act)(const char* path);
  bool follows = true;  // a symbolic link as the last name
  bool makes = false;   // the last name is to be new
  bool changes_parent = false;
};

const timespec some_times[2] = {{5, 0}, {6, 0}};
char buffer[256];

int close_if(int fd) { return fd < 0 ? -1 : ::close(fd); }

const std::vector<Call>& calls() {
  static const std::vector<Call> all{
      {"open", [](const char* p) { return close_if(::open(p, O_RDONLY)); }},
      {"open-write", [](const char* p) { return close_if(::open(p, O_WRONLY)); }},
      {"truncate", [](const char* p) { return ::truncate(p, 0); }},
      {"chmod", [](const char* p) { return ::chmod(p, 0644); }},
      {"chown", [](const char* p) { return ::chown(p, static_cast<uid_t>(-1), 0); }},
      {"stat",
       [](const char* p) {
         struct stat s;
         return ::stat(p, &s);
       }},
      {"access", [](const char* p) { return ::access(p, F_OK); }},
      {"utimensat", [](const char* p) { return ::utimensat(AT_FDCWD, p, some_times, 0); }},
      {"statfs",
       [](const char* p) {
         struct statfs s;
         return ::statfs(p, &s);
       }},
      {"getxattr",
       [](const char* p) {
         const auto n = ::getxattr(p, "user.none", buffer, sizeof buffer);
         return n < 0 && errno == ENODATA ? 0 : static_cast<int>(n);
       }},
      {"listxattr",
       [](const char* p) { return ::listxattr(p, buffer, sizeof buffer) < 0 ? -1 : 0; }},
      {"chdir", [](const char* p) { return ::chdir(p); }},
      {"lstat",
       [](const char* p) {
         struct stat s;
         return ::lstat(p, &s);
       },
       false},
      {"lchown", [](const char* p) { return ::lchown(p, static_cast<uid_t>(-1), 0); }, false},
      {"readlink", [](const char* p) { return ::readlink(p, buffer, sizeof buffer) < 0 ? -1 : 0; },
       false},
      {"unlink", [](const char* p) { return ::unlink(p); }, false, false, true},
      {"rmdir", [](const char* p) { return ::rmdir(p); }, false, false, true},
      {"rename-from", [](const char* p) { return ::rename(p, "elsewhere"); }, false, false, true},
      {"link-from", [](const char* p) { return ::link(p, "elsewhere"); }, false},
      {"create", [](const char* p) { return close_if(::open(p, O_WRONLY | O_CREAT, 0644)); }, true,
       true, true},
      {"create-new",
       [](const char* p) { return close_if(::open(p, O_WRONLY | O_CREAT | O_EXCL, 0644)); }, false,
       true, true},
      {"mkdir", [](const char* p) { return ::mkdir(p, 0755); }, false, true, true},
      {"symlink", [](const char* p) { return ::symlink("target", p); }, false, true, true},
      {"mkfifo", [](const char* p) { return ::mkfifo(p, 0644); }, false, true, true},
      {"rename-to", [](const char* p) { return ::rename("there", p); }, false, true, true},
      {"link-to", [](const char* p) { return ::link("there", p); }, false, true, true},
  };
  return all;
}

bool is(const Call& call, std::string_view name) { return name == call.name; }

void must_fail(const Call& call, const std::string& path, int code) {
  errno = 0;
  const int result = call.act(path.c_str());
  const int got = result == -1 ? errno : 0;
  if (got != code) {
    throw Failure{std::string(call.name) + "(" + path.substr(0, 60) + ") must fail with " +
                  strerror(code) + ", but " + (got ? strerror(got) : "succeeded")};
  }
}

// Relative paths, so that other users need no rights above.
class Inside {
 public:
  explicit Inside(const std::string& directory) : before_(::open(".", O_RDONLY | O_DIRECTORY)) {
    MUST(before_ >= 0 && ::chdir(directory.c_str()) == 0);
    write_file("there", "x");
  }
  ~Inside() {
    [[maybe_unused]] const int back = ::fchdir(before_);
    ::close(before_);
  }

 private:
  int before_;
};

void missing_names(const std::string& d) {
  const Inside inside(d);
  for (const auto& call : calls()) {
    must_fail(call, "missing/name", ENOENT);
    if (!call.makes) must_fail(call, "missing", ENOENT);
    must_fail(call, "", ENOENT);
  }
}

void files_as_directories(const std::string& d) {
  const Inside inside(d);
  for (const auto& call : calls()) {
    must_fail(call, "there/name", ENOTDIR);
    must_fail(call, "there/name/more", ENOTDIR);
  }
}

void long_names(const std::string& d) {
  const Inside inside(d);
  const std::string fits(255, 'n'), too_long(256, 'n');
  std::string path = "there";
  while (path.size() < PATH_MAX + 10) path = "./" + path;
  for (const auto& call : calls()) {
    must_fail(call, too_long, ENAMETOOLONG);
    must_fail(call, too_long + "/name", ENAMETOOLONG);
    must_fail(call, path, ENAMETOOLONG);
    if (!call.makes) must_fail(call, fits, ENOENT);
  }
}

// The longest path that there is works in every call that needs something there.
void the_longest_path(const std::string& d) {
  const Inside inside(d);
  std::string path = "there";
  while (path.size() + 2 < PATH_MAX) path = "./" + path;
  MUST(read_file(path) == "x");
  MUST(::chmod(path.c_str(), 0600) == 0);
  MUST(::truncate(path.c_str(), 5) == 0);
  MUST(stat_of(path).st_size == 5);
  const auto other = path.substr(0, path.size() - 5) + "moved";
  MUST(::rename(path.c_str(), other.c_str()) == 0);
  MUST(::unlink(other.c_str()) == 0);
}

void loops_of_links(const std::string& d) {
  const Inside inside(d);
  MUST(::symlink("one", "two") == 0 && ::symlink("two", "one") == 0);
  for (const auto& call : calls()) {
    must_fail(call, "one/name", ELOOP);
    if (call.follows) must_fail(call, "one", ELOOP);
  }
}

void what_is_there_already(const std::string& d) {
  const Inside inside(d);
  MUST(::mkdir("directory", 0755) == 0 && ::symlink("nowhere", "link") == 0);
  for (const auto& call : calls()) {
    if (!call.makes || is(call, "create") || is(call, "rename-to")) continue;
    for (const char* name : {"there", "directory", "link", ".", ".."}) {
      if (is(call, "link-to") && *name != '.') continue;  // links may not be known at all
      must_fail(call, name, EEXIST);
    }
  }
}

void wrong_kinds(const std::string& d) {
  const Inside inside(d);
  MUST(::mkdir("directory", 0755) == 0 && ::symlink("there", "link") == 0);
  MUST_FAIL(::open("directory", O_WRONLY), EISDIR);
  MUST_FAIL(::open("directory", O_RDONLY | O_CREAT, 0644), EISDIR);
  MUST_FAIL(::truncate("directory", 0), EISDIR);
  MUST_FAIL(::unlink("directory"), EISDIR);
  MUST_FAIL(::rmdir("there"), ENOTDIR);
  MUST_FAIL(::rmdir("directory/."), EINVAL);
  MUST(::rmdir("directory/..") == -1 && (errno == ENOTEMPTY || errno == EBUSY));
  MUST_FAIL(::open("there", O_RDONLY | O_DIRECTORY), ENOTDIR);
  MUST_FAIL(::open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  MUST_FAIL(::open("link", O_RDONLY | O_CREAT | O_EXCL, 0644), EEXIST);
  MUST_FAIL(::readlink("there", buffer, sizeof buffer), EINVAL);
  MUST_FAIL(::readlink("directory", buffer, sizeof buffer), EINVAL);
  MUST_FAIL(::chdir("there"), ENOTDIR);
  MUST_FAIL(::truncate("there", -1), EINVAL);
  MUST_FAIL(::link("directory", "new"), EPERM);
  const Fd reading("there", O_RDONLY), directory("directory", O_RDONLY);
  MUST_FAIL(::ftruncate(reading, 0), EINVAL);
  MUST_FAIL(::write(reading, "x", 1), EBADF);
  MUST_FAIL(::read(directory, buffer, 1), EISDIR);
  const Fd writing("there", O_WRONLY);
  MUST_FAIL(::read(writing, buffer, 1), EBADF);
  MUST_FAIL(::lseek(reading, -1, SEEK_SET), EINVAL);
  MUST_FAIL(::pread(reading, buffer, 1, -1), EINVAL);
  MUST_FAIL(::fchmodat(AT_FDCWD, "missing", 0644, 0), ENOENT);
}

void bad_addresses(const std::string& d) {
  const Inside inside(d);
  const auto* const nowhere = reinterpret_cast<const char*>(~std::uintptr_t{0} - 4095);
  for (const auto& call : calls()) {
    errno = 0;
    if (call.act(nowhere) != -1 || errno != EFAULT)
      throw Failure{std::string(call.name) + " of a bad address must fail with EFAULT"};
  }
  const Fd fd("there", O_RDWR);
  MUST_FAIL(::pwrite(fd, nowhere, 10, 0), EFAULT);
  MUST_FAIL(::pread(fd, const_cast<char*>(nowhere), 1, 0), EFAULT);
  MUST(read_file("there") == "x");
}

// errno of each call as nobody, in `directory`: all must be `code`.
void refused_to_nobody(const std::string& directory, const std::string& path, int code,
                       bool (*concerns)(const Call&)) {
  for (const auto& call : calls()) {
    if (!concerns(call)) continue;
    const int got = as_user(nobody, directory, [&] { return error_of(call.act(path.c_str())); });
    if (got != code)
      throw Failure{std::string(call.name) + "(" + path + ") as nobody must fail with " +
                    strerror(code) + ", but " + (got ? strerror(got) : "succeeded")};
  }
}

void closed_directories(const std::string& d) {
  need_root();
  {
    const Inside inside(d);
    MUST(::chmod(".", 0777) == 0 && ::mkdir("closed", 0666) == 0);
    MUST(::chmod("closed", 0666) == 0);
    MUST(::chown("there", nobody, nobody) == 0);
    write_file("closed/name", "x");
  }
  refused_to_nobody(d, "closed/name", EACCES, [](const Call&) { return true; });
  MUST(read_file(d + "/closed/name") == "x");
}

void directories_of_others(const std::string& d) {
  need_root();
  {
    const Inside inside(d);
    MUST(::mkdir("theirs", 0755) == 0 && ::chown("there", nobody, nobody) == 0);
    write_file("theirs/file", "x");
    MUST(::mkdir("theirs/directory", 0777) == 0 && ::chmod("theirs/directory", 0777) == 0);
    MUST(::chmod(".", 0777) == 0);
  }
  refused_to_nobody(d, "theirs/new", EACCES,
                    [](const Call& c) { return c.makes && c.changes_parent && !is(c, "link-to"); });
  refused_to_nobody(d, "theirs/file", EACCES,
                    [](const Call& c) { return is(c, "unlink") || is(c, "rename-from"); });
  refused_to_nobody(d, "theirs/directory", EACCES, [](const Call& c) { return is(c, "rmdir"); });
  MUST(names_in(d + "/theirs") == (std::vector<std::string>{"directory", "file"}));
}

// In a sticky directory, names belong to the owners of what they name, and of the directory.
void sticky_directories(const std::string& d) {
  need_root();
  constexpr uid_t ann = 1234, bob = 1235;
  for (const uid_t owner : {ann, bob, uid_t{0}}) {     // of the directory
    for (const uid_t holder : {ann, bob, uid_t{0}}) {  // of what is in it
      const auto sticky = d + "/s";
      MUST(::mkdir(sticky.c_str(), 0777) == 0 && ::chmod(sticky.c_str(), 01777) == 0);
      MUST(::chown(sticky.c_str(), owner, owner) == 0);
      const auto prepare = [&](const std::string& name, bool directory) {
        const auto path = sticky + "/" + name;
        if (directory)
          MUST(::mkdir(path.c_str(), 0777) == 0);
        else
          write_file(path, "x", 0666);
        MUST(::lchown(path.c_str(), holder, holder) == 0);
      };
      prepare("file", false);
      prepare("other", false);
      prepare("empty", true);
      const int expected = owner == ann || holder == ann ? 0 : EPERM;
      const auto as_ann = [&](const std::function<int()>& act) {
        return as_user(ann, sticky, act);
      };
      MUST(as_ann([] { return error_of(::rename("file", "file2")); }) == expected);
      if (expected == 0)
        MUST(::rename((sticky + "/file2").c_str(), (sticky + "/file").c_str()) == 0);
      MUST(as_ann([] {
             const int fd = ::open("mine", O_WRONLY | O_CREAT, 0644);
             ::close(fd);
             return error_of(::rename("mine", "other"));  // replacing is removing
           }) == expected);
      MUST(as_ann([] { return error_of(::unlink("file")); }) == expected);
      MUST(as_ann([] { return error_of(::rmdir("empty")); }) == expected);
      for (const char* name : {"file", "other", "mine"}) ::unlink((sticky + "/" + name).c_str());
      ::rmdir((sticky + "/empty").c_str());
      MUST(::rmdir(sticky.c_str()) == 0);
    }
  }
}

// Whoever is not in the group of a file cannot give it that group's rights.
void set_gid_needs_the_group(const std::string& d) {
  need_root();
  MUST(::chmod(d.c_str(), 0777) == 0);
  write_file(d + "/f", "x");
  MUST(::chown((d + "/f").c_str(), nobody, 0) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::chmod("f", 02755)); }) == 0);
  MUST((stat_of(d + "/f").st_mode & 07777) == 0755);
  MUST(as_user(nobody, d, [] { return error_of(::chown("f", 0, static_cast<gid_t>(-1))); }) ==
       EPERM);
  MUST(as_user(nobody, d, [] { return error_of(::chown("f", static_cast<uid_t>(-1), nobody)); }) ==
       0);
  MUST(stat_of(d + "/f").st_gid == nobody);
}

void failures_change_no_times(const std::string& d) {
  const Inside inside(d);
  MUST(::mkdir("directory", 0755) == 0);
  write_file("directory/f", "x");
  const auto before = stat_of("directory"), there = stat_of("there");
  let_time_pass(d);
  MUST_FAIL(::mkdir("directory", 0700), EEXIST);
  MUST_FAIL(::rmdir("directory"), ENOTEMPTY);
  MUST_FAIL(::unlink("directory/g"), ENOENT);
  MUST_FAIL(::rename("directory/g", "directory/h"), ENOENT);
  MUST_FAIL(::open("directory/f", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
  MUST_FAIL(::rename("there", "directory"), EISDIR);
  const auto after = stat_of("directory");
  MUST(!later(after.st_mtim, before.st_mtim) && !later(after.st_ctim, before.st_ctim));
  MUST(!later(stat_of("there").st_ctim, there.st_ctim));
}

}  // namespace

std::vector<Rule> error_rules() {
  return {{"errors/missing-names", missing_names},
          {"errors/files-as-directories", files_as_directories},
          {"errors/long-names", long_names},
          {"errors/longest-path", the_longest_path},
          {"errors/loops-of-links", loops_of_links},
          {"errors/already-there", what_is_there_already},
          {"errors/wrong-kinds", wrong_kinds},
          {"errors/bad-addresses", bad_addresses},
          {"errors/closed-directories", closed_directories},
          {"errors/directories-of-others", directories_of_others},
          {"errors/sticky-directories", sticky_directories},
          {"errors/set-gid-needs-the-group", set_gid_needs_the_group},
          {"errors/change-no-times", failures_change_no_times}};
}

}  // namespace conformance
