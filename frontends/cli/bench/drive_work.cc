// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/drive_work.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <random>

extern char** environ;

namespace lafs::cli {

namespace {

constexpr std::size_t piece = 1 << 20;
constexpr unsigned random_reads = 4000;
constexpr unsigned files_in_a_directory = 100;

std::unexpected<Error> failed(const std::string& what) {
  return fail(Errc::io, what + ": " + strerror(errno));
}

class Fd {
 public:
  Fd(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

const std::string& noise() {
  static const std::string bytes = [] {
    std::mt19937_64 random(1);
    std::string out(piece, '\0');
    for (std::size_t i = 0; i + 8 <= out.size(); i += 8) {
      const auto word = random();
      std::memcpy(&out[i], &word, 8);
    }
    return out;
  }();
  return bytes;
}

// Different in each pass and place, so that nothing can be found to be there already.
std::string fresh_noise(std::size_t size) {
  static std::mt19937_64 random(std::random_device{}());
  std::string out = noise().substr(0, size);
  for (std::size_t i = 0; i + 8 <= out.size(); i += 4096) {
    const auto word = random();
    std::memcpy(&out[i], &word, 8);
  }
  return out;
}

Result<double> timed(const std::function<Result<>()>& work) {
  const auto start = std::chrono::steady_clock::now();
  TRY_DO(work());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<> forget_pages(const std::string& file, int advice) {
  const Fd fd(file, O_RDONLY);
  if (fd < 0) return failed(file);
  if (::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) return failed("fadvise");
  if (advice != POSIX_FADV_DONTNEED) ::posix_fadvise(fd, 0, 0, advice);
  return {};
}

Result<> read_randomly(const std::string& file, std::uint64_t size) {
  const Fd fd(file, O_RDONLY);
  if (fd < 0) return failed(file);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  std::mt19937_64 random(7);
  char buffer[4096];
  for (unsigned i = 0; i < random_reads; ++i) {
    const auto at = static_cast<off_t>(random() % (size / sizeof buffer) * sizeof buffer);
    if (::pread(fd, buffer, sizeof buffer, at) != sizeof buffer) return failed("read " + file);
  }
  return {};
}

std::string small_name(const std::string& directory, unsigned number) {
  return directory + "/d" + std::to_string(number / files_in_a_directory) + "/file-" +
         std::to_string(number);
}

Result<> each_small(const std::string& directory, unsigned count,
                    const std::function<bool(const std::string&)>& act) {
  for (unsigned i = 0; i < count; ++i) {
    const auto name = small_name(directory, i);
    if (!act(name)) return failed(name);
  }
  return {};
}

bool create_small(const std::string& name, const std::string& content) {
  const Fd fd(name, O_WRONLY | O_CREAT | O_EXCL);
  return fd >= 0 &&
         ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
}

bool read_small(const std::string& name) {
  char buffer[8192];
  const Fd fd(name, O_RDONLY);
  return fd >= 0 && ::read(fd, buffer, sizeof buffer) > 0;
}

// As `ls -lR` does.
Result<> stat_all(const std::string& directory) {
  DIR* const dir = ::opendir(directory.c_str());
  if (!dir) return failed(directory);
  Result<> outcome;
  while (const auto* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat s{};
    if (::fstatat(::dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
      outcome = failed(directory + "/" + name);
      break;
    }
    if (S_ISDIR(s.st_mode)) outcome = stat_all(directory + "/" + name);
    if (!outcome) break;
  }
  ::closedir(dir);
  return outcome;
}

}  // namespace

const std::vector<DriveRow>& drive_rows() {
  static const std::vector<DriveRow> rows{{"write", "sequential write, then fsync", "MB/s", 1.5},
                                          {"cold", "sequential read, kernel cold", "MB/s", 1.5},
                                          {"warm", "the same, warm", "MB/s", 3},
                                          {"random", "random 4 KiB reads, cold", "1/s", 1.3},
                                          {"create", "create 4 KiB files", "1/s", 1.5},
                                          {"read", "read them", "1/s", 1.5},
                                          {"stat", "stat them all", "1/s", 2},
                                          {"rename", "rename them", "1/s", 1.2},
                                          {"unlink", "unlink them", "1/s", 2},
                                          {"copy", "copy a source tree (cp -r)", "files/s", 1.3},
                                          {"diff", "compare it (diff -r)", "files/s", 1.3},
                                          {"grid", "read from the grid; lafs cat", "MB/s", 0.6}};
  return rows;
}

Result<> make_source_tree(const std::string& directory, const DriveScale& scale) {
  std::mt19937 random(3);
  for (unsigned i = 0; i < scale.tree_files; ++i) {
    const auto folder = directory + "/part" + std::to_string(i / 30);
    if (i % 30 == 0 && ::mkdir(folder.c_str(), 0755) != 0) return failed(folder);
    const auto size = 200 + random() % 400 * (random() % 60);  // most small, some 24 kB
    if (!create_small(folder + "/source" + std::to_string(i) + ".c", fresh_noise(size)))
      return failed(folder);
  }
  return {};
}

Result<> write_large(const std::string& file, unsigned megabytes) {
  const Fd fd(file, O_WRONLY | O_CREAT | O_TRUNC);
  if (fd < 0) return failed(file);
  auto block = fresh_noise(piece);
  for (unsigned i = 0; i < megabytes; ++i) {
    std::memcpy(block.data(), &i, sizeof i);
    if (::write(fd, block.data(), piece) != static_cast<ssize_t>(piece)) return failed(file);
  }
  if (::fsync(fd) != 0) return failed("fsync " + file);
  return {};
}

Result<double> read_through(const std::string& file) {
  std::string buffer(piece, '\0');
  std::uint64_t total = 0;
  TRY(seconds, timed([&]() -> Result<> {
        const Fd fd(file, O_RDONLY);
        if (fd < 0) return failed(file);
        ssize_t n = 0;
        while ((n = ::read(fd, buffer.data(), piece)) > 0) total += static_cast<std::uint64_t>(n);
        if (n < 0) return failed("read " + file);
        return {};
      }));
  return static_cast<double>(total) / 1e6 / seconds;
}

namespace {

// The steps of a pass in their order; those that nobody asked for are left out, or not timed where
// later ones need what they leave.
class Pass {
 public:
  Pass(const DriveScale& scale, const std::vector<std::string>& only)
      : scale_(scale), only_(only), out_(drive_rows().size()) {}

  Result<std::vector<std::optional<double>>> run(const std::string& directory,
                                                 const std::string& source_tree) {
    const auto large = directory + "/large", small = directory + "/small";
    const auto copy = directory + "/copy";
    TRY_DO(with_large_file(large));
    TRY_DO(with_small_files(small));
    const double files = scale_.tree_files;
    TRY_DO(step("copy", wanted({"copy", "diff"}), files,
                [&] { return run_program({"cp", "-r", source_tree, copy}); }));
    TRY_DO(step("diff", wanted({"diff"}), files,
                [&] { return run_program({"diff", "-r", source_tree, copy}); }));
    TRY_DO(run_program({"rm", "-rf", large, small, copy}));
    return std::move(out_);
  }

 private:
  bool wanted(std::initializer_list<const char*> keys) const {
    return only_.empty() || std::ranges::any_of(keys, [&](const char* key) {
             return std::ranges::find(only_, key) != only_.end();
           });
  }

  // `amount` of the row's unit is done by `work`, which is needed by a row that was asked for.
  Result<> step(const char* key, bool needed, double amount,
                const std::function<Result<>()>& work) {
    if (!needed) return {};
    const auto start = std::chrono::steady_clock::now();
    TRY_DO(work());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const auto row = std::ranges::find(drive_rows(), key, &DriveRow::key);
    if (wanted({key}))
      out_[static_cast<std::size_t>(row - drive_rows().begin())] = amount / took.count();
    return {};
  }

  Result<> with_large_file(const std::string& large) {
    if (!wanted({"write", "cold", "warm", "random"})) return {};
    const auto size = std::uint64_t{scale_.megabytes} * piece;
    const auto megabytes = static_cast<double>(size) / 1e6;
    TRY_DO(step("write", true, megabytes, [&] { return write_large(large, scale_.megabytes); }));
    TRY_DO(forget_pages(large, POSIX_FADV_DONTNEED));
    const auto read = [&]() -> Result<> {
      TRY(speed, read_through(large));
      static_cast<void>(speed);
      return {};
    };
    TRY_DO(step("cold", wanted({"cold", "warm"}), megabytes, read));
    TRY_DO(step("warm", wanted({"warm"}), megabytes, read));
    TRY_DO(forget_pages(large, POSIX_FADV_RANDOM));
    return step("random", wanted({"random"}), random_reads,
                [&] { return read_randomly(large, size); });
  }

  Result<> with_small_files(const std::string& small) {
    if (!wanted({"create", "read", "stat", "rename", "unlink"})) return {};
    if (::mkdir(small.c_str(), 0755) != 0) return failed(small);
    for (unsigned i = 0; i * files_in_a_directory < scale_.files; ++i) {
      const auto folder = small + "/d" + std::to_string(i);
      if (::mkdir(folder.c_str(), 0755) != 0) return failed(folder);
    }
    const auto each = [&](const std::function<bool(const std::string&)>& act) {
      return [this, &small, act] { return each_small(small, scale_.files, act); };
    };
    const auto make = [](const std::string& name) { return create_small(name, fresh_noise(4096)); };
    const auto rename = [](const std::string& name) {
      return ::rename(name.c_str(), (name + ".new").c_str()) == 0;
    };
    const auto remove = [](const std::string& name) {
      return ::unlink((name + ".new").c_str()) == 0;
    };
    const double files = scale_.files;
    TRY_DO(step("create", true, files, each(make)));
    TRY_DO(step("read", wanted({"read"}), files, each(read_small)));
    TRY_DO(step("stat", wanted({"stat"}), files, [&] { return stat_all(small); }));
    TRY_DO(step("rename", wanted({"rename", "unlink"}), files, each(rename)));
    return step("unlink", wanted({"unlink"}), files, each(remove));
  }

  const DriveScale& scale_;
  const std::vector<std::string>& only_;
  std::vector<std::optional<double>> out_;
};

}  // namespace

Result<std::vector<std::optional<double>>> drive_pass(const std::string& directory,
                                                      const std::string& source_tree,
                                                      const DriveScale& scale,
                                                      const std::vector<std::string>& only) {
  return Pass(scale, only).run(directory, source_tree);
}

Result<> run_program(const std::vector<std::string>& words, const std::string& input) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("pipe");
  // A few bytes: they fit.
  const bool said =
      ::write(ends[1], input.data(), input.size()) == static_cast<ssize_t>(input.size());
  ::close(ends[1]);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(ends[0]);
  if (error || !said) return fail(Errc::io, words[0] + ": " + strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return failed(words[0]);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Errc::io, words[0] + " ended with status " + std::to_string(status));
}

}  // namespace lafs::cli
