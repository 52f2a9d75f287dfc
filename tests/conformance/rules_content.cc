// SPDX-License-Identifier: Apache-2.0
// Reading, writing, truncating and mapping: the bytes.
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <memory>
#include <random>

#include "tests/conformance/sys.h"

namespace conformance {

namespace {

// A mapping, unmapped at the end of its scope.
class Map {
 public:
  Map(int fd, std::size_t size, int protection, int flags)
      : size_(size), at_(::mmap(nullptr, size, protection, flags, fd, 0)) {
    MUST(at_ != MAP_FAILED);
  }
  ~Map() { ::munmap(at_, size_); }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  char* data() const { return static_cast<char*>(at_); }
  std::string text() const { return {data(), size_}; }
  void sync() const { MUST(::msync(at_, size_, MS_SYNC) == 0); }

 private:
  std::size_t size_;
  void* at_;
};

void as_a_string_would(const std::string& d) {
  std::mt19937 random(2);
  std::string model;
  const auto path = d + "/f";
  auto fd = std::make_unique<Fd>(path, O_RDWR | O_CREAT, 0644);
  for (int i = 0; i < 500; ++i) {
    const auto offset = random() % 600'000;
    switch (random() % 6) {
      case 0:
      case 1:
      case 2: {
        const auto data = noise(1 + random() % (i % 10 ? 5000 : 200'000), i);
        write_at(*fd, data, static_cast<off_t>(offset));
        if (model.size() < offset + data.size()) model.resize(offset + data.size());
        model.replace(offset, data.size(), data);
        break;
      }
      case 3:
        if (i % 3 == 0) {
          MUST(::ftruncate(*fd, static_cast<off_t>(offset)) == 0);
          model.resize(offset);
        }
        break;
      case 4: {
        const auto expected = offset < model.size() ? model.substr(offset, 70'000) : "";
        MUST(read_at(*fd, 70'000, static_cast<off_t>(offset)) == expected);
        break;
      }
      default:
        fd = std::make_unique<Fd>(path, O_RDWR);
    }
    MUST(stat_of(path).st_size == static_cast<off_t>(model.size()));
  }
  MUST(read_file(path) == model);
}

void big_file(const std::string& d) {
  const auto data = noise(9'000'001);
  write_file(d + "/f", data);
  MUST(stat_of(d + "/f").st_size == 9'000'001);
  MUST(read_file(d + "/f") == data);
  const Fd fd(d + "/f", O_RDONLY);
  MUST(read_at(fd, 3'000'000, 2'000'003) == data.substr(2'000'003, 3'000'000));
}

void past_the_end(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "12345", 0);
  MUST(read_at(fd, 100, 0) == "12345");
  MUST(read_at(fd, 100, 4) == "5");
  MUST(read_at(fd, 100, 5).empty());
  MUST(read_at(fd, 100, 1'000'000).empty());
  MUST(read_at(fd, 0, 0).empty());
  MUST(::pwrite(fd, "", 0, 50) == 0);
  MUST(stat_of(fd).st_size == 5);
}

void holes_read_as_zeros(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "end", 1'000'000);
  MUST(stat_of(fd).st_size == 1'000'003);
  MUST(read_at(fd, 1'000'000, 0) == std::string(1'000'000, '\0'));
  write_at(fd, "middle", 500'000);
  MUST(read_at(fd, 10, 499'998) == std::string("\0\0middle\0\0", 10));
  MUST(read_file(d + "/f").substr(1'000'000) == "end");
}

// Offsets above 4 GiB; a filesystem may have a limit, but must say so.
void far_offsets(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  constexpr off_t far = 5ll << 30;
  if (::ftruncate(fd, far) != 0) {
    MUST_FAIL(::ftruncate(fd, far), EFBIG);
    return;
  }
  MUST(stat_of(fd).st_size == far);
  write_at(fd, "far", far);
  MUST(stat_of(fd).st_size == far + 3);
  MUST(read_at(fd, 10, far - 2) == std::string("\0\0far", 5));
  MUST(::ftruncate(fd, 1) == 0);
}

void append_from_two_handles(const std::string& d) {
  const Fd a(d + "/f", O_WRONLY | O_CREAT | O_APPEND, 0644), b(d + "/f", O_WRONLY | O_APPEND);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const auto text = std::to_string(i) + ",";
    MUST(::write(i % 2 ? a : b, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    expected += text;
  }
  MUST(read_file(d + "/f") == expected);
}

void append_after_truncate(const std::string& d) {
  const Fd a(d + "/f", O_RDWR | O_CREAT | O_APPEND, 0644);
  MUST(::write(a, "0123456789", 10) == 10);
  MUST(::ftruncate(a, 3) == 0);
  MUST(::write(a, "x", 1) == 1);
  MUST(read_file(d + "/f") == "012x");
}

void grow_and_shrink(const std::string& d) {
  const auto f = d + "/f";
  write_file(f, "0123456789");
  MUST(::truncate(f.c_str(), 4) == 0);
  MUST(read_file(f) == "0123");
  MUST(::truncate(f.c_str(), 8) == 0);
  MUST(read_file(f) == std::string("0123\0\0\0\0", 8));  // what was cut off does not come back
  MUST(::truncate(f.c_str(), 0) == 0);
  MUST(::truncate(f.c_str(), 200'000) == 0);
  MUST(read_file(f) == std::string(200'000, '\0'));
  MUST_FAIL(::truncate(f.c_str(), -1), EINVAL);
  MUST_FAIL(::truncate((d + "/nothing").c_str(), 0), ENOENT);
}

void truncate_within_a_page(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, std::string(10'000, 'x'), 0);
  MUST(read_at(fd, 10'000, 0).size() == 10'000);  // now cached
  MUST(::ftruncate(fd, 5000) == 0);
  write_at(fd, "y", 9000);
  const auto all = read_at(fd, 10'000, 0);
  MUST(all == std::string(5000, 'x') + std::string(4000, '\0') + "y");
}

void vectors_of_buffers(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  std::string a = "first", b = noise(100'000), c = "last";
  const iovec out[] = {{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  MUST(::writev(fd, out, 3) == static_cast<ssize_t>(a.size() + b.size() + c.size()));
  MUST(read_file(d + "/f") == a + b + c);
}

void syncs(const std::string& d) {
  Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "data", 0);
  MUST(::fdatasync(fd) == 0);
  write_at(fd, "more", 4);
  MUST(::fsync(fd) == 0);
  MUST(::fsync(fd) == 0);
  const Fd synced(d + "/f", O_WRONLY | O_SYNC);
  write_at(synced, "even more", 8);
  MUST(read_file(d + "/f") == "datamoreeven more");
}

void mapped_reading(const std::string& d) {
  const auto data = noise(100'000);
  write_file(d + "/f", data);
  const Fd fd(d + "/f", O_RDONLY);
  const Map map(fd, data.size(), PROT_READ, MAP_SHARED);
  MUST(map.text() == data);
}

void mapped_reading_sees_writes(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, std::string(8192, 'a'), 0);
  const Map map(fd, 8192, PROT_READ, MAP_SHARED);
  MUST(map.data()[5000] == 'a');
  write_at(fd, "b", 5000);
  MUST(map.data()[5000] == 'b');
}

void mapped_writing(const std::string& d) {
  const auto path = d + "/f";
  std::string expected = noise(50'000);
  write_file(path, expected);
  {
    const Fd fd(path, O_RDWR);
    const Map map(fd, expected.size(), PROT_READ | PROT_WRITE, MAP_SHARED);
    std::memcpy(map.data() + 10'000, "mapped", 6);
    expected.replace(10'000, 6, "mapped");
    MUST(read_at(fd, 6, 10'000) == "mapped");
    map.sync();
    std::memcpy(map.data() + 30'000, "later", 5);
    expected.replace(30'000, 5, "later");
  }
  MUST(read_file(path) == expected);
}

void mapped_writing_after_close(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, std::string(8192, 'a'));
  {
    Fd fd(path, O_RDWR);
    const Map map(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
    fd.close();  // the mapping holds the file
    map.data()[4100] = 'b';
    map.sync();
  }
  MUST(read_file(path)[4100] == 'b');
}

// The pages of a mapping go back to where they are, even through a handle that appends.
void mapped_writing_and_appending(const std::string& d) {
  const auto path = d + "/f";
  write_file(path, std::string(8192, 'a'));
  {
    const Fd appender(path, O_RDWR | O_APPEND);
    const Map map(appender, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
    map.data()[100] = 'b';
    map.sync();
    MUST(::write(appender, "end", 3) == 3);
    map.data()[200] = 'c';
    map.sync();
  }
  std::string expected = std::string(8192, 'a') + "end";
  expected[100] = 'b';
  expected[200] = 'c';
  MUST(read_file(path) == expected);
}

void mapped_privately(const std::string& d) {
  write_file(d + "/f", std::string(4096, 'a'));
  const Fd fd(d + "/f", O_RDWR);
  const Map map(fd, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  map.data()[0] = 'b';
  MUST(read_file(d + "/f") == std::string(4096, 'a'));
}

void mapped_and_unlinked(const std::string& d) {
  write_file(d + "/f", std::string(8192, 'a'));
  const Fd fd(d + "/f", O_RDWR);
  const Map map(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
  MUST(::unlink((d + "/f").c_str()) == 0);
  map.data()[5000] = 'b';
  map.sync();
  MUST(read_at(fd, 1, 5000) == "b");
}

void kernel_side_copies(const std::string& d) {
  const auto data = noise(300'000);
  write_file(d + "/from", data);
  const Fd from(d + "/from", O_RDONLY);
  {
    const Fd to(d + "/sent", O_WRONLY | O_CREAT, 0644);
    std::size_t done = 0;
    while (done < data.size()) {
      const auto n = ::sendfile(to, from, nullptr, data.size() - done);
      MUST(n > 0);
      done += static_cast<std::size_t>(n);
    }
  }
  MUST(read_file(d + "/sent") == data);
  {
    const Fd to(d + "/copied", O_WRONLY | O_CREAT, 0644);
    loff_t position = 0;
    std::size_t done = 0;
    while (done < data.size()) {
      const auto n = ::copy_file_range(from, &position, to, nullptr, data.size() - done, 0);
      MUST(n > 0);
      done += static_cast<std::size_t>(n);
    }
  }
  MUST(read_file(d + "/copied") == data);
}

void looking_for_data(const std::string& d) {
  const Fd fd(d + "/f", O_RDWR | O_CREAT, 0644);
  write_at(fd, "0123456789", 0);
  MUST(::lseek(fd, 0, SEEK_DATA) == 0);
  MUST(::lseek(fd, 0, SEEK_HOLE) == 10);  // the end counts as one
  MUST_FAIL(::lseek(fd, 100, SEEK_DATA), ENXIO);
  MUST(::lseek(fd, -3, SEEK_END) == 7);
}

}  // namespace

std::vector<Rule> content_rules() {
  return {{"content/as-a-string-would", as_a_string_would},
          {"content/big-file", big_file},
          {"content/past-the-end", past_the_end},
          {"content/holes", holes_read_as_zeros},
          {"content/far-offsets", far_offsets},
          {"content/append-two-handles", append_from_two_handles},
          {"content/append-after-truncate", append_after_truncate},
          {"content/grow-and-shrink", grow_and_shrink},
          {"content/truncate-within-a-page", truncate_within_a_page},
          {"content/writev", vectors_of_buffers},
          {"content/sync", syncs},
          {"content/mmap-read", mapped_reading},
          {"content/mmap-read-sees-writes", mapped_reading_sees_writes},
          {"content/mmap-write", mapped_writing},
          {"content/mmap-write-after-close", mapped_writing_after_close},
          {"content/mmap-write-and-append", mapped_writing_and_appending},
          {"content/mmap-private", mapped_privately},
          {"content/mmap-unlinked", mapped_and_unlinked},
          {"content/kernel-copies", kernel_side_copies},
          {"content/seek-data", looking_for_data}};
}

}  // namespace conformance
