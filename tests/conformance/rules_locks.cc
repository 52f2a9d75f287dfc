// SPDX-License-Identifier: Apache-2.0
// flock(2), and the record locks of fcntl(2).
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <utility>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

struct flock record(short type, off_t start, off_t length) {
  struct flock l{};
  l.l_type = type;
  l.l_whence = SEEK_SET;
  l.l_start = start;
  l.l_len = length;
  return l;
}
int set(int fd, short type, off_t start, off_t length, int command = F_SETLK) {
  auto l = record(type, start, length);
  return ::fcntl(fd, command, &l);
}
struct flock ask(int fd, short type, off_t start, off_t length) {
  auto l = record(type, start, length);
  MUST(::fcntl(fd, F_GETLK, &l) == 0);
  return l;
}
// errno of taking a lock in another process, which gives it back by ending.
int elsewhere(const std::string& path, short type, off_t start, off_t length) {
  return in_child([&] {
    const int fd = ::open(path.c_str(), O_RDWR);
    return fd < 0 ? errno : error_of(set(fd, type, start, length));
  });
}

// A child that runs `first`, says so, and waits until it is told to go on with `then`.
class Partner {
 public:
  template <class First, class Then>
  Partner(First first, Then then) {
    MUST(::pipe(up_) == 0 && ::pipe(down_) == 0);
    pid_ = ::fork();
    MUST(pid_ >= 0);
    if (pid_ == 0) {
      ::alarm(30);
      char byte = static_cast<char>(first());
      if (::write(up_[1], &byte, 1) != 1 || ::read(down_[0], &byte, 1) != 1) ::_exit(99);
      ::_exit(then());
    }
    char byte = 0;
    MUST(::read(up_[0], &byte, 1) == 1);
    first_ = byte;
  }
  ~Partner() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (int fd : {up_[0], up_[1], down_[0], down_[1]}) ::close(fd);
  }
  int first() const { return first_; }
  void go() { MUST(::write(down_[1], "x", 1) == 1); }
  int finish() {
    go();
    return end();
  }
  int end() {
    int status = 0;
    MUST(::waitpid(std::exchange(pid_, -1), &status, 0) >= 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    MUST(::waitpid(std::exchange(pid_, -1), nullptr, 0) >= 0);
  }

 private:
  int up_[2], down_[2];
  pid_t pid_ = -1;
  int first_ = 0;
};

void flock_excludes(const std::string& d) {
  write_file(d + "/f", "x");
  const Fd a(d + "/f", O_RDWR), b(d + "/f", O_RDONLY);
  MUST(::flock(a, LOCK_SH) == 0);
  MUST(::flock(b, LOCK_SH | LOCK_NB) == 0);
  MUST_FAIL(::flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  MUST(::flock(b, LOCK_UN) == 0);
  MUST(::flock(a, LOCK_EX | LOCK_NB) == 0);
  MUST_FAIL(::flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
  MUST(::flock(a, LOCK_UN) == 0);
  MUST(::flock(b, LOCK_EX | LOCK_NB) == 0);
}

void flock_belongs_to_the_open_file(const std::string& d) {
  write_file(d + "/f", "x");
  const Fd other(d + "/f", O_RDWR);
  {
    Fd a(d + "/f", O_RDWR);
    const Fd copy(::dup(a));
    MUST(::flock(a, LOCK_EX) == 0);
    a.close();
    MUST_FAIL(::flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);  // the copy still holds it
    MUST(::flock(copy, LOCK_EX | LOCK_NB) == 0);
  }
  MUST(eventually([&] { return ::flock(other, LOCK_EX | LOCK_NB) == 0; }));
}

void flock_waits(const std::string& d) {
  write_file(d + "/f", "x");
  const Fd a(d + "/f", O_RDWR);
  MUST(::flock(a, LOCK_EX) == 0);
  const auto path = d + "/f";
  Partner partner([] { return 0; },
                  [&] {
                    const int fd = ::open(path.c_str(), O_RDWR);
                    return error_of(::flock(fd, LOCK_EX));
                  });
  ::usleep(1000);
  MUST(::flock(a, LOCK_UN) == 0);
  MUST(partner.finish() == 0);
}

void records_exclude(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, noise(100));
  const Fd fd(path, O_RDWR);
  MUST(set(fd, F_WRLCK, 10, 10) == 0);
  MUST(elsewhere(path, F_WRLCK, 0, 10) == 0);
  MUST(elsewhere(path, F_RDLCK, 19, 1) == EAGAIN);
  MUST(elsewhere(path, F_WRLCK, 20, 0) == 0);
  MUST(set(fd, F_RDLCK, 10, 10) == 0);  // down
  MUST(elsewhere(path, F_RDLCK, 0, 0) == 0);
  MUST(elsewhere(path, F_WRLCK, 0, 0) == EAGAIN);
  MUST(set(fd, F_UNLCK, 12, 4) == 0);
  MUST(elsewhere(path, F_WRLCK, 12, 4) == 0);
  MUST(elsewhere(path, F_WRLCK, 11, 1) == EAGAIN);
  MUST(elsewhere(path, F_WRLCK, 16, 1) == EAGAIN);
  MUST(set(fd, F_UNLCK, 0, 0) == 0);
  MUST(elsewhere(path, F_WRLCK, 0, 0) == 0);
}

void records_need_the_right_descriptor(const std::string& d) {
  write_file(d + "/f", "x");
  const Fd reading(d + "/f", O_RDONLY), writing(d + "/f", O_WRONLY);
  MUST_FAIL(set(reading, F_WRLCK, 0, 0), EBADF);
  MUST_FAIL(set(writing, F_RDLCK, 0, 0), EBADF);
  MUST_FAIL(set(writing, F_WRLCK, -1, 0), EINVAL);
  MUST(set(reading, F_RDLCK, 0, 0) == 0);
  MUST(set(writing, F_WRLCK, 0, 0) == 0);  // the same process
}

void records_are_shown(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, noise(100));
  const Fd fd(path, O_RDWR);
  MUST(ask(fd, F_WRLCK, 0, 0).l_type == F_UNLCK);
  Partner partner(
      [&] {
        const int other = ::open(path.c_str(), O_RDWR);
        return error_of(set(other, F_WRLCK, 40, 20));
      },
      [] { return 0; });
  MUST(partner.first() == 0);
  const auto found = ask(fd, F_RDLCK, 0, 0);
  MUST(found.l_type == F_WRLCK && found.l_start == 40 && found.l_len == 20 && found.l_pid > 0);
  MUST(ask(fd, F_WRLCK, 60, 0).l_type == F_UNLCK);
  MUST(partner.finish() == 0);
  MUST(eventually([&] { return ask(fd, F_WRLCK, 0, 0).l_type == F_UNLCK; }));
}

// The rule that everybody forgets: closing any descriptor of the file ends all the process's locks.
void records_end_with_any_close(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  const Fd fd(path, O_RDWR);
  MUST(set(fd, F_WRLCK, 0, 0) == 0);
  MUST(elsewhere(path, F_WRLCK, 0, 0) == EAGAIN);
  {
    Fd other(path, O_RDONLY);
  }
  MUST(eventually([&] { return elsewhere(path, F_WRLCK, 0, 0) == 0; }));
}

void records_through_a_reading_descriptor_end(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  {
    const Fd fd(path, O_RDONLY);
    MUST(set(fd, F_RDLCK, 0, 0) == 0);
    MUST(elsewhere(path, F_WRLCK, 0, 0) == EAGAIN);
  }
  MUST(eventually([&] { return elsewhere(path, F_WRLCK, 0, 0) == 0; }));
}

void records_are_not_inherited(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  const Fd fd(path, O_RDWR);
  MUST(set(fd, F_WRLCK, 0, 0) == 0);
  MUST(in_child([&] { return error_of(set(fd, F_WRLCK, 0, 0)); }) == EAGAIN);
  MUST(in_child([&] {
         ::close(fd);  // the child's close ends the child's locks only
         return 0;
       }) == 0);
  MUST(elsewhere(path, F_WRLCK, 0, 0) == EAGAIN);
}

void records_wait_and_see_deadlocks(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, noise(10));
  const Fd fd(path, O_RDWR);
  MUST(set(fd, F_WRLCK, 0, 1) == 0);
  int other = -1;
  Partner partner(
      [&] {
        other = ::open(path.c_str(), O_RDWR);
        return error_of(set(other, F_WRLCK, 1, 1));
      },
      [&] { return error_of(set(other, F_WRLCK, 0, 1, F_SETLKW)); });
  MUST(partner.first() == 0);
  partner.go();
  ::usleep(50'000);  // it blocks by now, or will find us blocking: either way one is told
  const int mine = error_of(set(fd, F_WRLCK, 1, 1, F_SETLKW));
  if (mine == EDEADLK) MUST(set(fd, F_UNLCK, 0, 0) == 0);
  const int theirs = partner.end();
  MUST((mine == EDEADLK && theirs == 0) || (mine == 0 && theirs == EDEADLK));
}

void waiting_is_interrupted(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  const Fd fd(path, O_RDWR);
  MUST(set(fd, F_WRLCK, 0, 0) == 0);
  const int got = in_child([&] {
    struct sigaction quiet{};
    quiet.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &quiet, nullptr);
    const int other = ::open(path.c_str(), O_RDWR);
    ::alarm(1);
    return error_of(set(other, F_WRLCK, 0, 0, F_SETLKW));
  });
  MUST(got == EINTR);
}

void a_killed_waiter_leaves_nothing(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  const Fd fd(path, O_RDWR);
  // Before, while and after it begins to wait.
  for (int delay = 0; delay < 20'000; delay += 1'500) {
    MUST(set(fd, F_WRLCK, 0, 0) == 0);
    Partner partner([] { return 0; },
                    [&] {
                      const int other = ::open(path.c_str(), O_RDWR);
                      return error_of(set(other, F_WRLCK, 0, 0, F_SETLKW));
                    });
    partner.go();
    ::usleep(static_cast<useconds_t>(delay));
    partner.kill();
    MUST(set(fd, F_UNLCK, 0, 0) == 0);
    // What a killed process had is closed behind its back, on FUSE after its death was seen: soon
    // will do.
    bool free = false;
    for (int i = 0; i < 500 && !free; ++i) {
      free = elsewhere(path, F_WRLCK, 0, 0) == 0;
      if (!free) ::usleep(10'000);
    }
    MUST(free);
  }
}

void a_killed_holder_leaves_nothing(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, "x");
  Partner partner(
      [&] {
        const int fd = ::open(path.c_str(), O_RDWR);
        return error_of(set(fd, F_WRLCK, 0, 0)) + error_of(::flock(fd, LOCK_EX));
      },
      [] { return 0; });
  MUST(partner.first() == 0);
  const Fd fd(path, O_RDWR);
  MUST_FAIL(::flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  partner.kill();
  MUST(eventually([&] { return set(fd, F_WRLCK, 0, 0) == 0; }));
  MUST(eventually([&] { return ::flock(fd, LOCK_EX | LOCK_NB) == 0; }));
}

}  // namespace

std::vector<Rule> lock_rules() {
  return {{"locks/flock-excludes", flock_excludes},
          {"locks/flock-of-the-open-file", flock_belongs_to_the_open_file},
          {"locks/flock-waits", flock_waits},
          {"locks/records-exclude", records_exclude},
          {"locks/records-need-the-right-descriptor", records_need_the_right_descriptor},
          {"locks/records-are-shown", records_are_shown},
          {"locks/records-end-with-any-close", records_end_with_any_close},
          {"locks/records-of-readers-end", records_through_a_reading_descriptor_end},
          {"locks/records-are-not-inherited", records_are_not_inherited},
          {"locks/records-see-deadlocks", records_wait_and_see_deadlocks},
          {"locks/waiting-is-interrupted", waiting_is_interrupted},
          {"locks/killed-waiter", a_killed_waiter_leaves_nothing},
          {"locks/killed-holder", a_killed_holder_leaves_nothing}};
}

}  // namespace conformance
