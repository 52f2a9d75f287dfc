// SPDX-License-Identifier: Apache-2.0
// Ranges of files: holes, fallocate(2), copy_file_range(2), and everything at random.
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

constexpr off_t block = 64 * 1024;  // no filesystem's holes are coarser here

void allocate(int fd, int mode, off_t offset, off_t length) {
  if (::fallocate(fd, mode, offset, length) == 0) return;
  if (errno == EOPNOTSUPP) throw Skipped{"this filesystem cannot do that"};
  fail_at(__FILE__, __LINE__, std::string("fallocate: ") + strerror(errno));
}

void seeking_for_data_and_holes(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT);
  MUST(::ftruncate(fd, 8 * block) == 0);
  write_at(fd, noise(100), 4 * block);
  const auto data = ::lseek(fd, 0, SEEK_DATA);
  MUST(data >= 0 && data <= 4 * block);
  const auto hole = ::lseek(fd, 4 * block, SEEK_HOLE);
  MUST(hole >= 4 * block + 100 && hole <= 8 * block);
  MUST(::lseek(fd, 4 * block + 50, SEEK_DATA) == 4 * block + 50);
  MUST_FAIL(::lseek(fd, 8 * block, SEEK_DATA), ENXIO);
  MUST_FAIL(::lseek(fd, 8 * block, SEEK_HOLE), ENXIO);
  MUST_FAIL(::lseek(fd, -1, SEEK_DATA), ENXIO);
  // Walking from data to hole to data visits every byte that is not zero, and ends.
  off_t at = 0;
  int steps = 0;
  bool seen = false;
  while ((at = ::lseek(fd, at, SEEK_DATA)) >= 0) {
    const auto end = ::lseek(fd, at, SEEK_HOLE);
    MUST(end > at && ++steps < 100);
    if (at <= 4 * block && end >= 4 * block + 100) seen = true;
    at = end;
  }
  MUST(seen);
}

void allocating(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT);
  write_at(fd, "content", 0);
  allocate(fd, 0, 0, 1000);
  MUST(stat_of(fd).st_size == 1000);
  MUST(read_at(fd, 2000, 0) == std::string("content") + std::string(993, '\0'));
  allocate(fd, 0, 10, 20);  // inside: nothing changes
  MUST(stat_of(fd).st_size == 1000);
  allocate(fd, FALLOC_FL_KEEP_SIZE, 1000, 5000);
  MUST(stat_of(fd).st_size == 1000);
  MUST(::posix_fallocate(fd, 0, 2000) == 0);
  MUST(stat_of(fd).st_size == 2000);
  MUST_FAIL(::fallocate(fd, 0, 0, 0), EINVAL);
  MUST_FAIL(::fallocate(fd, 0, -1, 10), EINVAL);
  MUST(::fallocate(fd, 0, 0, INT64_MAX) == -1 && (errno == EFBIG || errno == ENOSPC));
  const Fd reading(d + "/f", O_RDONLY);
  MUST_FAIL(::fallocate(reading, 0, 0, 10), EBADF);
}

void punching_holes(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT);
  auto content = noise(4 * block);
  write_at(fd, content, 0);
  const auto punch = [&](off_t at, off_t length) {
    allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
    for (off_t i = at; i < std::min<off_t>(at + length, 4 * block); ++i)
      content[static_cast<std::size_t>(i)] = '\0';
    MUST(read_at(fd, content.size() + 1, 0) == content);
  };
  punch(block, block);
  punch(5, 10);
  punch(3 * block - 7, 20);
  punch(4 * block - 3, 100);  // across the end: the size stays
  MUST(stat_of(fd).st_size == 4 * block);
  punch(5 * block, 100);
  MUST_FAIL(::fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
  const auto hole = ::lseek(fd, block, SEEK_HOLE);
  MUST(hole >= block && hole <= 4 * block);
}

void zeroing_ranges(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT);
  write_at(fd, std::string(1000, 'x'), 0);
  allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 900, 200);
  MUST(stat_of(fd).st_size == 1000);
  allocate(fd, FALLOC_FL_ZERO_RANGE, 800, 400);
  MUST(stat_of(fd).st_size == 1200);
  MUST(read_at(fd, 2000, 0) == std::string(800, 'x') + std::string(400, '\0'));
}

void allocating_is_seen_by_mappings(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT);
  write_at(fd, std::string(8192, 'x'), 0);
  auto* const map =
      static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  MUST(map != MAP_FAILED);
  map[5000] = 'y';
  allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
  const bool good = map[4095] == 'x' && map[5000] == '\0';
  ::munmap(map, 8192);
  MUST(good);
}

ssize_t copy(int from, off_t at, int to, off_t to_at, std::size_t length) {
  const auto n = ::copy_file_range(from, &at, to, &to_at, length, 0);
  if (n < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) throw Skipped{"no copy_file_range"};
  return n;
}

void copying_ranges(const std::string& d) {
  const auto content = noise(200'000);
  write_file(d + "/from", content);
  const Fd from(d + "/from", O_RDONLY), to(d + "/to", O_RDWR | O_CREAT);
  MUST(copy(from, 0, to, 0, 1 << 30) == 200'000);
  MUST(read_file(d + "/to") == content);
  MUST(stat_of(to).st_size == 200'000);
  MUST(copy(from, 100, to, 150'000, 100'000) == 100'000);
  MUST(read_file(d + "/to") == content.substr(0, 150'000) + content.substr(100, 100'000));
  MUST(copy(from, 199'990, to, 0, 100) == 10);  // short at the end
  MUST(copy(from, 200'000, to, 0, 100) == 0);
  MUST(copy(from, 0, to, 300'000, 5) == 5);  // leaves a hole
  MUST(read_at(to, 10, 299'995) == std::string(5, '\0') + content.substr(0, 5));
  const Fd reading(d + "/to", O_RDONLY), appending(d + "/to", O_WRONLY | O_APPEND);
  MUST_FAIL(copy(from, 0, reading, 0, 10), EBADF);
  MUST_FAIL(copy(from, 0, appending, 0, 10), EBADF);
}

void copying_within_a_file(const std::string& d) {
  const auto content = noise(10'000);
  write_file(d + "/f", content);
  const Fd fd(d + "/f", O_RDWR);
  MUST(copy(fd, 0, fd, 6000, 4000) == 4000);
  MUST(read_file(d + "/f") == content.substr(0, 6000) + content.substr(0, 4000));
  MUST_FAIL(copy(fd, 0, fd, 10, 100), EINVAL);
}

// A copy is a copy: what happens to one afterwards does not show in the other.
void copies_are_apart(const std::string& d) {
  const auto content = noise(300'000);
  write_file(d + "/from", content);
  {
    const Fd from(d + "/from", O_RDONLY), to(d + "/to", O_WRONLY | O_CREAT);
    MUST(copy(from, 0, to, 0, 300'000) == 300'000);
  }
  {
    const Fd from(d + "/from", O_WRONLY);
    write_at(from, "changed", 1000);
  }
  MUST(read_file(d + "/to") == content);
  {
    const Fd to(d + "/to", O_WRONLY);
    write_at(to, "otherwise", 290'000);
    MUST(::ftruncate(to, 295'000) == 0);
  }
  auto changed = content;
  changed.replace(1000, 7, "changed");
  MUST(read_file(d + "/from") == changed);
  MUST(::unlink((d + "/from").c_str()) == 0);
  auto other = content.substr(0, 295'000);
  other.replace(290'000, 9, "otherwise");
  MUST(read_file(d + "/to") == other);
}

// Like Apple's fsx: everything that changes or shows content, at random, against a string.
void everything_at_random(const std::string& d) {
  constexpr std::size_t largest = 300'000;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    const auto up_to = [&](std::size_t n) { return static_cast<std::size_t>(random() % (n + 1)); };
    const auto path = d + "/f";
    Fd fd(path, O_RDWR | O_CREAT | O_TRUNC);
    std::string model;
    for (int step = 0; step < 250; ++step) {
      const auto at = up_to(largest), length = up_to(60'000);
      const auto where = " in step " + std::to_string(step) + " of " + std::to_string(seed);
      const auto grow = [&](std::size_t size) {
        if (model.size() < size) model.resize(size, '\0');
      };
      switch (random() % 12) {
        case 0:
        case 1: {
          const auto data = noise(length, random());
          write_at(fd, data, static_cast<off_t>(at));
          if (!data.empty()) grow(at + length);
          model.replace(std::min(at, model.size()), length, data);
          break;
        }
        case 2: {
          const auto size = up_to(largest);
          MUST(::ftruncate(fd, static_cast<off_t>(size)) == 0);
          model.resize(size, '\0');
          break;
        }
        case 3: {  // through a mapping
          if (model.empty()) break;
          const auto from = up_to(model.size() - 1);
          const auto count = std::min(length, model.size() - from);
          auto* const map = static_cast<char*>(
              ::mmap(nullptr, model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
          MUST(map != MAP_FAILED);
          const auto data = noise(count, random());
          const bool same = std::equal(model.begin(), model.end(), map);
          std::copy(data.begin(), data.end(), map + from);
          if (random() % 2) ::msync(map, model.size(), MS_SYNC);
          ::munmap(map, model.size());
          if (!same) throw Failure{"a mapping shows something else" + where};
          model.replace(from, count, data);
          break;
        }
        case 4:
        case 5: {
          const bool zero = random() % 2, keep = !zero || random() % 2;
          const int mode = (zero ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) |
                           (keep ? FALLOC_FL_KEEP_SIZE : 0);
          if (length == 0) break;
          if (::fallocate(fd, mode, static_cast<off_t>(at), static_cast<off_t>(length)) != 0) {
            MUST(errno == EOPNOTSUPP);
            break;
          }
          if (!keep) grow(at + length);
          for (auto i = at; i < std::min(at + length, model.size()); ++i) model[i] = '\0';
          break;
        }
        case 6: {
          if (length == 0 ||
              ::fallocate(fd, 0, static_cast<off_t>(at), static_cast<off_t>(length)) != 0)
            break;
          grow(at + length);
          break;
        }
        case 7: {
          const auto to = up_to(largest);
          if (at < to + length && to < at + length) break;
          off_t a = static_cast<off_t>(at), b = static_cast<off_t>(to);
          const auto n = ::copy_file_range(fd, &a, fd, &b, length, 0);
          if (n < 0) {
            MUST(errno == ENOSYS || errno == EOPNOTSUPP);
            break;
          }
          const auto expected = at >= model.size() ? 0 : std::min(length, model.size() - at);
          if (static_cast<std::size_t>(n) != expected) throw Failure{"a short copy" + where};
          const auto data = model.substr(std::min(at, model.size()), expected);
          if (expected) grow(to + expected);
          model.replace(std::min(to, model.size()), expected, data);
          break;
        }
        case 8: {  // close, and open again
          fd.reopen(path, O_RDWR);
          break;
        }
        case 9: {
          MUST(::fsync(fd) == 0);
          MUST(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
          break;
        }
        default: {
          const auto data = read_at(fd, length, static_cast<off_t>(at));
          const auto expected = at >= model.size() ? std::string() : model.substr(at, length);
          if (data != expected) throw Failure{"other bytes" + where};
        }
      }
      if (static_cast<std::size_t>(stat_of(fd).st_size) != model.size())
        throw Failure{"another size" + where};
    }
    if (read_file(path) != model) throw Failure{"another content at the end"};
  }
}

}  // namespace

std::vector<Rule> range_rules() {
  return {{"ranges/seek-data-and-holes", seeking_for_data_and_holes},
          {"ranges/allocate", allocating},
          {"ranges/punch-holes", punching_holes},
          {"ranges/zero", zeroing_ranges},
          {"ranges/mappings-see-it", allocating_is_seen_by_mappings},
          {"ranges/copy", copying_ranges},
          {"ranges/copy-within-a-file", copying_within_a_file},
          {"ranges/copies-are-apart", copies_are_apart},
          {"ranges/everything-at-random", everything_at_random}};
}

}  // namespace conformance
