// SPDX-License-Identifier: Apache-2.0
// Opening, creating and unlinking files; what handles and descriptors may do.
#include <sys/file.h>

#include <memory>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

void create_exclusive(const std::string& d) {
  const auto f = d + "/f";
  Fd first(f, O_WRONLY | O_CREAT | O_EXCL, 0644);
  write_at(first, "mine", 0);
  first.close();
  MUST_FAIL(::open(f.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
  MUST(read_file(f) == "mine");
  MUST(::unlink(f.c_str()) == 0);
  Fd again(f, O_RDWR | O_CREAT | O_EXCL, 0644);
  MUST(read_at(again, 10, 0).empty());
}

void create_existing_keeps_it(const std::string& d) {
  write_file(d + "/f", "content", 0600);
  const auto ino = stat_of(d + "/f").st_ino;
  Fd f(d + "/f", O_RDWR | O_CREAT, 0644);
  MUST(read_at(f, 10, 0) == "content");
  MUST(stat_of(f).st_ino == ino);
  MUST((stat_of(f).st_mode & 0777) == 0600);
}

void open_truncates(const std::string& d) {
  write_file(d + "/f", "long content");
  const Fd reader(d + "/f", O_RDONLY);
  const Fd f(d + "/f", O_WRONLY | O_TRUNC);
  MUST(stat_of(f).st_size == 0);
  MUST(stat_of(d + "/f").st_size == 0);
  MUST(read_at(reader, 10, 0).empty());
  write_at(f, "new", 0);
  MUST(read_at(reader, 10, 0) == "new");
}

void access_modes(const std::string& d) {
  write_file(d + "/f", "content");
  char c = 'x';
  const Fd reader(d + "/f", O_RDONLY), writer(d + "/f", O_WRONLY);
  MUST_FAIL(::write(reader, &c, 1), EBADF);
  MUST_FAIL(::read(writer, &c, 1), EBADF);
  MUST_FAIL(::ftruncate(reader, 0), EINVAL);
  MUST(read_file(d + "/f") == "content");
}

void unlink_while_open(const std::string& d) {
  const auto f = d + "/f";
  write_file(f, "before");
  Fd fd(f, O_RDWR);
  MUST(::unlink(f.c_str()) == 0);
  MUST(!exists(f));
  MUST(names_in(d).empty());
  MUST(stat_of(fd).st_nlink == 0);
  MUST(read_at(fd, 10, 0) == "before");
  write_at(fd, "after unlinking", 0);
  MUST(read_at(fd, 100, 0) == "after unlinking");
  MUST(::fsync(fd) == 0);
  MUST(::fchmod(fd, 0600) == 0);
  MUST((stat_of(fd).st_mode & 0777) == 0600);
  write_file(f, "another");  // the name is free
  MUST(read_at(fd, 100, 0) == "after unlinking");
  MUST(read_file(f) == "another");
  fd.close();
  MUST(read_file(f) == "another");
}

void truncate_unlinked(const std::string& d) {
  Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "0123456789", 0);
  MUST(::unlink((d + "/f").c_str()) == 0);
  MUST(::ftruncate(fd, 4) == 0);
  MUST(read_at(fd, 100, 0) == "0123");
  MUST(::ftruncate(fd, 6) == 0);
  MUST(read_at(fd, 100, 0) == std::string("0123\0\0", 6));
  MUST(stat_of(fd).st_size == 6);
}

void rename_while_open(const std::string& d) {
  Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "one", 0);
  MUST(::rename((d + "/f").c_str(), (d + "/g").c_str()) == 0);
  write_at(fd, "two", 3);
  fd.close();
  MUST(read_file(d + "/g") == "onetwo");
  MUST(!exists(d + "/f"));
}

void replaced_while_open(const std::string& d) {
  write_file(d + "/f", "old");
  write_file(d + "/new", "new");
  const Fd fd(d + "/f", O_RDWR);
  MUST(::rename((d + "/new").c_str(), (d + "/f").c_str()) == 0);
  MUST(read_at(fd, 10, 0) == "old");
  write_at(fd, "OLD", 0);
  MUST(read_file(d + "/f") == "new");
  MUST(read_at(fd, 10, 0) == "OLD");
}

void two_handles_see_each_other(const std::string& d) {
  const Fd a(d + "/f", O_RDWR | O_CREAT, 0644), b(d + "/f", O_RDWR);
  write_at(a, "from a", 0);
  MUST(read_at(b, 10, 0) == "from a");
  write_at(b, "b", 5);
  MUST(read_at(a, 10, 0) == "from b");
  MUST(stat_of(a).st_size == 6 && stat_of(b).st_size == 6);
  MUST(::ftruncate(a, 2) == 0);
  MUST(read_at(b, 10, 0) == "fr");
}

void written_is_there_after_close(const std::string& d) {
  for (int i = 0; i < 20; ++i) {
    const auto text = "round " + std::to_string(i);
    write_file(d + "/f", text);
    MUST(read_file(d + "/f") == text);
    MUST(stat_of(d + "/f").st_size == static_cast<off_t>(text.size()));
  }
}

void duplicated_descriptor(const std::string& d) {
  Fd a(d + "/f", O_RDWR | O_CREAT, 0644);
  Fd b(::dup(a));
  MUST(::write(a, "one", 3) == 3);
  MUST(::write(b, "two", 3) == 3);  // one shared position
  b.close();
  MUST(::write(a, "three", 5) == 5);
  a.close();
  MUST(read_file(d + "/f") == "onetwothree");
}

void many_open_at_once(const std::string& d) {
  std::vector<std::unique_ptr<Fd>> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::make_unique<Fd>(d + "/f" + std::to_string(i), O_RDWR | O_CREAT, 0644));
  }
  for (std::size_t i = 0; i < all.size(); ++i) write_at(*all[i], std::to_string(i), 0);
  for (std::size_t i = 0; i < all.size(); ++i) MUST(read_at(*all[i], 9, 0) == std::to_string(i));
}

void whole_file_locks(const std::string& d) {
  const Fd a(d + "/f", O_RDWR | O_CREAT, 0644), b(d + "/f", O_RDWR);
  MUST(::flock(a, LOCK_EX) == 0);
  MUST_FAIL(::flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  MUST(::flock(a, LOCK_UN) == 0);
  MUST(::flock(b, LOCK_EX | LOCK_NB) == 0);
}

void record_locks(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "0123456789", 0);
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = 2;
  range.l_len = 4;
  MUST(::fcntl(fd, F_SETLK, &range) == 0);
  const auto path = d + "/f";
  const auto try_lock = [&](off_t start) {
    return as_user(::geteuid(), d, [&] {
      const int other = ::open(path.c_str(), O_RDWR);
      struct flock wanted = range;
      wanted.l_start = start;
      return error_of(::fcntl(other, F_SETLK, &wanted));
    });
  };
  const int taken = try_lock(4), free = try_lock(6);
  MUST(taken == EAGAIN || taken == EACCES);
  MUST(free == 0);
}

void temporary_without_name(const std::string& d) {
  const int fd = ::open(d.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (fd < 0) {
    MUST_FAIL(::open(d.c_str(), O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
    return;
  }
  const Fd owner(fd);
  write_at(fd, "x", 0);
  MUST(names_in(d).empty());
}

}  // namespace

std::vector<Rule> file_rules() {
  return {{"files/create-exclusive", create_exclusive},
          {"files/create-existing", create_existing_keeps_it},
          {"files/open-truncates", open_truncates},
          {"files/access-modes", access_modes},
          {"files/unlink-while-open", unlink_while_open},
          {"files/truncate-unlinked", truncate_unlinked},
          {"files/rename-while-open", rename_while_open},
          {"files/replaced-while-open", replaced_while_open},
          {"files/two-handles", two_handles_see_each_other},
          {"files/written-after-close", written_is_there_after_close},
          {"files/dup", duplicated_descriptor},
          {"files/many-open", many_open_at_once},
          {"files/flock", whole_file_locks},
          {"files/record-locks", record_locks},
          {"files/tmpfile", temporary_without_name}};
}

}  // namespace conformance
