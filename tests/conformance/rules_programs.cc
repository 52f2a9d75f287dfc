// SPDX-License-Identifier: Apache-2.0
// What whole programs do: copying trees, running binaries, many processes at once.
#include <sys/wait.h>

#include <random>
#include <thread>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

// Runs a shell command in `d`; its output goes nowhere.
void shell(const std::string& d, const std::string& command) {
  const auto line = "cd '" + d + "' && (" + command + ") >/dev/null 2>&1";
  const int status = ::system(line.c_str());
  if (status != 0) throw Failure{command + ": status " + std::to_string(status)};
}

void plant(const std::string& root) {
  MUST(::mkdir(root.c_str(), 0755) == 0);
  for (int i = 0; i < 8; ++i) {
    const auto sub = root + "/sub" + std::to_string(i);
    MUST(::mkdir(sub.c_str(), i % 2 ? 0700 : 0755) == 0);
    for (unsigned j = 0; j < 12; ++j) {
      write_file(sub + "/f" + std::to_string(j), noise(j * j * 900, j), j % 3 ? 0644 : 0755);
    }
    MUST(::symlink("f3", (sub + "/link").c_str()) == 0);
    const timespec old[2] = {{1'000'000'000 + i, 5}, {1'100'000'000 + i, 7}};
    MUST(::utimensat(AT_FDCWD, (sub + "/f5").c_str(), old, 0) == 0);
  }
}

void copy_a_tree(const std::string& d) {
  plant(d + "/a");
  shell(d, "cp -a a b && diff -r a b");
  MUST(stat_of(d + "/b/sub3/f5").st_mtim.tv_sec == 1'100'000'003);
  MUST(stat_of(d + "/b/sub3/f5").st_mtim.tv_nsec == 7);
  MUST((stat_of(d + "/b/sub1").st_mode & 0777) == 0700);
  MUST((stat_of(d + "/b/sub1/f3").st_mode & 0777) == 0755);
  MUST(S_ISLNK(lstat_of(d + "/b/sub0/link").st_mode));
  shell(d, "rm -r a b");
  MUST(names_in(d).empty());
}

void archive_a_tree(const std::string& d) {
  plant(d + "/a");
  shell(d, "tar cf t.tar a && mkdir x && tar xf t.tar -C x && diff -r a x/a");
}

void run_a_program(const std::string& d) {
  shell(d, "cp /bin/echo ./echo && test \"$(./echo works)\" = works");
  write_file(d + "/script", "#!/bin/sh\nexit 0\n", 0755);
  shell(d, "./script");
}

void in_place_editing(const std::string& d) {
  write_file(d + "/f", "one\ntwo\n");
  shell(d, "sed -i s/two/three/ f && echo four >> f && sort -o f f");
  MUST(read_file(d + "/f") == "four\none\nthree\n");
}

void build_with_git(const std::string& d) {
  if (::system("git --version >/dev/null 2>&1") != 0) throw Skipped{"git is not installed"};
  plant(d + "/repo");
  shell(d + "/repo",
        "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; git init -q . && git add . && "
        "git -c user.name=n -c user.email=e commit -qm first && git fsck --strict && "
        "git gc -q && test -z \"$(git status --porcelain)\" && cd .. && git clone -q repo copy && "
        "git -C copy status");
}

// Threads in one directory: each owns some names, all list and stat everybody's.
void many_at_once(const std::string& d) {
  constexpr int workers = 8, rounds = 60;
  std::vector<std::string> failures(workers);
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      try {
        std::mt19937 random(static_cast<unsigned>(w));
        const auto mine = d + "/w" + std::to_string(w);
        for (int i = 0; i < rounds; ++i) {
          const auto name = mine + "-" + std::to_string(i % 7);
          const auto data = noise(random() % 50'000, random());
          write_file(name, data);
          if (read_file(name) != data) throw Failure{"read something else in " + name};
          MUST(::rename(name.c_str(), (mine + "-moved").c_str()) == 0);
          if (read_file(mine + "-moved") != data) throw Failure{"lost on the way: " + name};
          struct stat s{};
          for (const auto& other : names_in(d)) ::lstat((d + "/" + other).c_str(), &s);
          if (random() % 2) MUST(::unlink((mine + "-moved").c_str()) == 0);
        }
      } catch (const Failure& failure) {
        failures[static_cast<std::size_t>(w)] = failure.what;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (!failure.empty()) throw Failure{failure};
  }
}

// Processes append records to one file; none may be torn or lost.
void one_log_for_many(const std::string& d) {
  constexpr int writers = 6, records = 100;
  write_file(d + "/log", "");
  std::vector<pid_t> children;
  for (int w = 0; w < writers; ++w) {
    const pid_t child = ::fork();
    MUST(child >= 0);
    if (child == 0) {
      const int fd = ::open((d + "/log").c_str(), O_WRONLY | O_APPEND);
      const std::string record = std::string(30, static_cast<char>('a' + w)) + "\n";
      for (int i = 0; i < records; ++i) {
        if (::write(fd, record.data(), record.size()) != static_cast<ssize_t>(record.size())) {
          ::_exit(1);
        }
      }
      ::_exit(::close(fd) == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  bool good = true;
  for (const auto child : children) {
    int status = 0;
    good = ::waitpid(child, &status, 0) == child && status == 0 && good;
  }
  MUST(good);
  const auto log = read_file(d + "/log");
  MUST(log.size() == writers * records * 31u);
  for (std::size_t i = 0; i < log.size(); i += 31) {
    MUST(log.substr(i, 31) == std::string(30, log[i]) + "\n");
  }
}

// Exactly one of those who create a lock file exclusively gets it.
void one_winner(const std::string& d) {
  for (int round = 0; round < 20; ++round) {
    const auto path = d + "/lock" + std::to_string(round);
    std::vector<pid_t> children;
    for (int i = 0; i < 5; ++i) {
      const pid_t child = ::fork();
      MUST(child >= 0);
      if (child == 0) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
        ::_exit(fd >= 0 ? 0 : errno == EEXIST ? 1 : 2);
      }
      children.push_back(child);
    }
    int winners = 0, losers = 0;
    for (const auto child : children) {
      int status = 0;
      MUST(::waitpid(child, &status, 0) == child && WIFEXITED(status));
      winners += WEXITSTATUS(status) == 0;
      losers += WEXITSTATUS(status) == 1;
    }
    MUST(winners == 1 && losers == 4);
  }
}

}  // namespace

std::vector<Rule> program_rules() {
  return {{"programs/copy-tree", copy_a_tree},
          {"programs/archive-tree", archive_a_tree},
          {"programs/run", run_a_program},
          {"programs/edit-in-place", in_place_editing},
          {"programs/git", build_with_git},
          {"programs/many-at-once", many_at_once},
          {"programs/one-log-for-many", one_log_for_many},
          {"programs/one-winner", one_winner}};
}

}  // namespace conformance
