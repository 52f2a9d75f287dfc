// SPDX-License-Identifier: Apache-2.0
// Modes, owners, times, extended attributes, and the filesystem's own numbers.
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <algorithm>
#include <ctime>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

mode_t mode_of(const std::string& path) { return stat_of(path).st_mode & 07777; }
bool same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void change_mode(const std::string& d) {
  write_file(d + "/f", "x");
  for (const mode_t mode : {0600, 0444, 0755, 0000, 01644, 0777}) {
    MUST(::chmod((d + "/f").c_str(), mode) == 0);
    MUST(mode_of(d + "/f") == mode);
    MUST(S_ISREG(stat_of(d + "/f").st_mode));
  }
  MUST(::mkdir((d + "/dir").c_str(), 0755) == 0);
  MUST(::chmod((d + "/dir").c_str(), 01777) == 0);
  MUST(mode_of(d + "/dir") == 01777);
  MUST(::chmod((d + "/f").c_str(), 0644) == 0);
  const Fd fd(d + "/f", O_RDONLY);
  MUST(::fchmod(fd, 0640) == 0);
  MUST(mode_of(d + "/f") == 0640);
}

void creation_obeys_umask(const std::string& d) {
  const mode_t before = ::umask(027);
  const int fd = ::open((d + "/f").c_str(), O_WRONLY | O_CREAT, 0666);
  const int made = ::mkdir((d + "/dir").c_str(), 0777);
  ::umask(before);
  const Fd owner(fd);
  MUST(fd >= 0 && made == 0);
  MUST(mode_of(d + "/f") == 0640);
  MUST(mode_of(d + "/dir") == 0750);
  MUST(stat_of(d + "/f").st_uid == ::geteuid());
}

void created_unreadable_can_be_written(const std::string& d) {
  Fd fd(d + "/f", O_WRONLY | O_CREAT | O_EXCL, 0000);
  write_at(fd, "x", 0);
  fd.close();
  MUST(mode_of(d + "/f") == 0);
  MUST(stat_of(d + "/f").st_size == 1);
}

void change_owner(const std::string& d) {
  need_root();
  write_file(d + "/f", "x");
  MUST(::chown((d + "/f").c_str(), 1234, 5678) == 0);
  MUST(stat_of(d + "/f").st_uid == 1234 && stat_of(d + "/f").st_gid == 5678);
  MUST(::chown((d + "/f").c_str(), static_cast<uid_t>(-1), 99) == 0);
  MUST(stat_of(d + "/f").st_uid == 1234 && stat_of(d + "/f").st_gid == 99);
  MUST(::symlink("f", (d + "/l").c_str()) == 0);
  MUST(::lchown((d + "/l").c_str(), 7, 8) == 0);
  MUST(lstat_of(d + "/l").st_uid == 7 && stat_of(d + "/f").st_uid == 1234);
}

void change_of_owner_clears_set_id(const std::string& d) {
  need_root();
  write_file(d + "/f", "x");
  MUST(::chmod((d + "/f").c_str(), 06755) == 0);
  MUST(mode_of(d + "/f") == 06755);
  MUST(::chown((d + "/f").c_str(), 1234, 1234) == 0);
  MUST(mode_of(d + "/f") == 0755);
}

void writing_clears_set_id(const std::string& d) {
  need_root();
  for (const std::string name : {"written", "truncated", "opened"}) {
    write_file(d + "/" + name, "x");
    MUST(::chmod((d + "/" + name).c_str(), 06777) == 0);
  }
  MUST(as_user(nobody, d, [] {
         const int fd = ::open("written", O_WRONLY);
         return error_of(fd < 0 ? fd : ::write(fd, "y", 1));
       }) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::truncate("truncated", 0)); }) == 0);
  MUST(as_user(nobody, d, [] { return error_of(::open("opened", O_WRONLY | O_TRUNC)); }) == 0);
  MUST(read_file(d + "/written") == "y");
  MUST(mode_of(d + "/written") == 0777);
  MUST(mode_of(d + "/truncated") == 0777);
  MUST(mode_of(d + "/opened") == 0777);
}

void set_gid_directory(const std::string& d) {
  need_root();
  MUST(::mkdir((d + "/shared").c_str(), 0755) == 0);
  MUST(::chown((d + "/shared").c_str(), 0, 4321) == 0);
  MUST(::chmod((d + "/shared").c_str(), 02775) == 0);
  write_file(d + "/shared/f", "x");
  MUST(::mkdir((d + "/shared/dir").c_str(), 0755) == 0);
  MUST(stat_of(d + "/shared/f").st_gid == 4321);
  MUST(stat_of(d + "/shared/dir").st_gid == 4321);
  MUST(mode_of(d + "/shared/dir") & S_ISGID);
}

void set_times(const std::string& d) {
  write_file(d + "/f", "x");
  const timespec times[2] = {{1'000'000'000, 123'456'789}, {1'234'567'890, 987'654'321}};
  MUST(::utimensat(AT_FDCWD, (d + "/f").c_str(), times, 0) == 0);
  auto s = stat_of(d + "/f");
  MUST(same(s.st_atim, times[0]) && same(s.st_mtim, times[1]));
  const timespec only_second[2] = {{0, UTIME_OMIT}, {4'102'444'800, 1}};  // the year 2100
  MUST(::utimensat(AT_FDCWD, (d + "/f").c_str(), only_second, 0) == 0);
  s = stat_of(d + "/f");
  MUST(same(s.st_atim, times[0]) && same(s.st_mtim, only_second[1]));
  const timespec now_first[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  MUST(::utimensat(AT_FDCWD, (d + "/f").c_str(), now_first, 0) == 0);
  s = stat_of(d + "/f");
  MUST(later(s.st_atim, times[1]) && same(s.st_mtim, only_second[1]));
  MUST(::mkdir((d + "/dir").c_str(), 0755) == 0);
  MUST(::utimensat(AT_FDCWD, (d + "/dir").c_str(), times, 0) == 0);
  MUST(same(stat_of(d + "/dir").st_mtim, times[1]));
}

void set_times_of_symlink(const std::string& d) {
  write_file(d + "/f", "x");
  MUST(::symlink("f", (d + "/l").c_str()) == 0);
  const timespec times[2] = {{1'000'000'000, 0}, {1'100'000'000, 5}};
  MUST(::utimensat(AT_FDCWD, (d + "/l").c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  MUST(same(lstat_of(d + "/l").st_mtim, times[1]));
  MUST(!same(stat_of(d + "/f").st_mtim, times[1]));
}

void set_times_while_open(const std::string& d) {
  Fd fd(d + "/f", O_WRONLY | O_CREAT, 0644);
  write_at(fd, "content", 0);
  const timespec times[2] = {{1'000'000'000, 1}, {1'100'000'000, 2}};
  MUST(::futimens(fd, times) == 0);
  fd.close();  // as cp -p and tar do: closing must not set it again
  MUST(same(stat_of(d + "/f").st_mtim, times[1]));
}

void new_things_are_new(const std::string& d) {
  write_file(d + "/f", "x");
  const auto s = stat_of(d + "/f");
  const auto now = ::time(nullptr);
  for (const auto t : {s.st_atim, s.st_mtim, s.st_ctim}) {
    MUST(t.tv_sec >= now - 60 && t.tv_sec <= now + 60);
  }
}

// Every change of content sets mtime and ctime; a change of attributes sets ctime.
void times_of_changes(const std::string& d) {
  const auto f = d + "/f";
  write_file(f, "x");
  const auto expect = [&](bool content, const std::function<void()>& act) {
    const auto before = stat_of(f);
    let_time_pass(d);
    act();
    const auto after = stat_of(f);
    MUST(later(after.st_ctim, before.st_ctim));
    MUST(later(after.st_mtim, before.st_mtim) == content);
  };
  expect(true, [&] { write_file(f, "y"); });
  expect(true, [&] {
    const Fd fd(f, O_WRONLY);
    write_at(fd, "z", 0);
  });
  expect(true, [&] { MUST(::truncate(f.c_str(), 10) == 0); });
  expect(false, [&] { MUST(::chmod(f.c_str(), 0600) == 0); });
}

void reading_changes_nothing(const std::string& d) {
  write_file(d + "/f", "x");
  const auto before = stat_of(d + "/f");
  let_time_pass(d);
  MUST(read_file(d + "/f") == "x");
  const auto after = stat_of(d + "/f");
  MUST(same(before.st_mtim, after.st_mtim) && same(before.st_ctim, after.st_ctim));
}

void times_of_directories(const std::string& d) {
  const auto dir = d + "/dir", other = d + "/other";
  MUST(::mkdir(dir.c_str(), 0755) == 0 && ::mkdir(other.c_str(), 0755) == 0);
  const auto expect = [&](bool changes, const std::function<void()>& act) {
    const auto before = stat_of(dir);
    let_time_pass(other);
    act();
    const auto after = stat_of(dir);
    MUST(later(after.st_mtim, before.st_mtim) == changes);
    MUST(later(after.st_ctim, before.st_ctim) == changes);
  };
  expect(true, [&] { write_file(dir + "/f", "x"); });
  expect(false, [&] { write_file(dir + "/f", "y"); });
  expect(false, [&] { MUST(::chmod((dir + "/f").c_str(), 0600) == 0); });
  expect(true, [&] { MUST(::rename((dir + "/f").c_str(), (dir + "/g").c_str()) == 0); });
  expect(true, [&] { MUST(::rename((dir + "/g").c_str(), (other + "/g").c_str()) == 0); });
  expect(true, [&] { MUST(::mkdir((dir + "/sub").c_str(), 0755) == 0); });
  expect(false, [&] { write_file(dir + "/sub/f", "x"); });
  expect(true, [&] { MUST(::symlink("x", (dir + "/l").c_str()) == 0); });
  expect(true, [&] { MUST(::unlink((dir + "/l").c_str()) == 0); });
}

void space(const std::string& d) {
  struct statvfs s{};
  MUST(::statvfs(d.c_str(), &s) == 0);
  MUST(s.f_bsize > 0 && s.f_frsize > 0 && s.f_blocks > 0);
  MUST(s.f_bavail <= s.f_blocks && s.f_bfree <= s.f_blocks);
  MUST(s.f_namemax >= 255);
}

void sizes_and_blocks(const std::string& d) {
  write_file(d + "/f", std::string(100'000, 'x'));
  const auto s = stat_of(d + "/f");
  MUST(s.st_size == 100'000 && s.st_blksize > 0 && s.st_blocks > 0);
  MUST(s.st_nlink == 1);
}

void extended_attributes(const std::string& d) {
  const auto path = d + "/f";
  const auto* const f = path.c_str();
  write_file(path, "x");
  if (::setxattr(f, "user.color", "red", 3, 0) != 0 && errno == EOPNOTSUPP) {
    throw Skipped{"no extended attributes here"};
  }
  char value[16];
  MUST(::getxattr(f, "user.color", value, sizeof value) == 3 && std::memcmp(value, "red", 3) == 0);
  MUST(::getxattr(f, "user.color", nullptr, 0) == 3);
  MUST_FAIL(::getxattr(f, "user.color", value, 2), ERANGE);
  MUST_FAIL(::getxattr(f, "user.none", value, sizeof value), ENODATA);
  MUST_FAIL(::setxattr(f, "user.color", "blue", 4, XATTR_CREATE), EEXIST);
  MUST_FAIL(::setxattr(f, "user.none", "blue", 4, XATTR_REPLACE), ENODATA);
  MUST(::setxattr(f, "user.color", "blue", 4, XATTR_REPLACE) == 0);
  MUST(::setxattr(f, "user.empty", "", 0, XATTR_CREATE) == 0);
  MUST(::getxattr(f, "user.empty", value, sizeof value) == 0);
  const std::string big(3000, 'b');
  MUST(::setxattr(f, "user.big", big.data(), big.size(), 0) == 0);
  std::string got(4000, '\0');
  MUST(::getxattr(f, "user.big", got.data(), got.size()) == 3000);
  char list[256];
  const auto size = ::listxattr(f, list, sizeof list);
  MUST(size > 0 && ::listxattr(f, nullptr, 0) == size);
  MUST_FAIL(::listxattr(f, list, 3), ERANGE);
  const std::string names(list, static_cast<std::size_t>(size));
  for (const std::string name : {"user.color", "user.empty", "user.big"}) {
    MUST(names.find(name + '\0') != std::string::npos);
  }
  MUST(::removexattr(f, "user.color") == 0);
  MUST_FAIL(::removexattr(f, "user.color"), ENODATA);
  MUST(::rename(f, (d + "/g").c_str()) == 0);
  MUST(::getxattr((d + "/g").c_str(), "user.big", nullptr, 0) == 3000);
  MUST(::mkdir((d + "/dir").c_str(), 0755) == 0);
  MUST(::setxattr((d + "/dir").c_str(), "user.of-directory", "1", 1, 0) == 0);
}

}  // namespace

std::vector<Rule> attribute_rules() {
  return {{"attributes/chmod", change_mode},
          {"attributes/umask", creation_obeys_umask},
          {"attributes/create-unreadable", created_unreadable_can_be_written},
          {"attributes/chown", change_owner},
          {"attributes/chown-clears-set-id", change_of_owner_clears_set_id},
          {"attributes/write-clears-set-id", writing_clears_set_id},
          {"attributes/set-gid-directory", set_gid_directory},
          {"attributes/utimens", set_times},
          {"attributes/utimens-symlink", set_times_of_symlink},
          {"attributes/utimens-while-open", set_times_while_open},
          {"attributes/new-is-new", new_things_are_new},
          {"attributes/times-of-changes", times_of_changes},
          {"attributes/reading-changes-nothing", reading_changes_nothing},
          {"attributes/times-of-directories", times_of_directories},
          {"attributes/statvfs", space},
          {"attributes/sizes-and-blocks", sizes_and_blocks},
          {"attributes/xattr", extended_attributes}};
}

}  // namespace conformance
