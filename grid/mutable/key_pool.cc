// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/key_pool.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "grid/crypto/random.h"
#include "grid/crypto/seal.h"

namespace lafs::grid {

namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view context = "lafs spare key v1";
constexpr std::string_view suffix = ".key";
constexpr std::size_t largest_file = 8192;

RsaPrivateKey generate_politely() {
  // The thread is the pool's own, and only makes keys. Priorities are per thread on Linux.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  return RsaPrivateKey::generate();
}

std::vector<stdfs::path> stored_in(const stdfs::path& directory) {
  std::vector<stdfs::path> out;
  std::error_code error;
  for (stdfs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    if (i->path().extension() == suffix) out.push_back(i->path());
  }
  return out;
}

void sync_directory(const stdfs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

std::optional<RsaPrivateKey> read_key(const stdfs::path& path, const Secret32& key) {
  std::error_code error;
  const auto size = stdfs::file_size(path, error);
  if (error || size > largest_file) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto der = unseal(key, context, as_bytes(text));
  if (!der) return std::nullopt;
  auto out = RsaPrivateKey::from_pkcs8(*der);
  if (!out) return std::nullopt;
  return std::move(*out);
}

}  // namespace

std::optional<RsaPrivateKey> take_stored_key(const KeyPool::OnDisk& disk) {
  for (const auto& path : stored_in(disk.directory)) {
    // Whose rename succeeds has it: two processes may look at the same time.
    auto mine = path;
    mine.replace_extension("." + to_hex(random_bytes(8)) + ".taken");
    std::error_code error;
    stdfs::rename(path, mine, error);
    if (error) continue;
    auto key = read_key(mine, disk.seal);
    stdfs::remove(mine, error);
    // A crash must not bring it back after it was used.
    sync_directory(disk.directory);
    if (key && !error) return key;
  }
  return std::nullopt;
}

bool store_key(const KeyPool::OnDisk& disk, const RsaPrivateKey& key, std::size_t most) {
  std::error_code error;
  stdfs::create_directories(disk.directory, error);
  ::chmod(disk.directory.c_str(), 0700);
  if (stored_in(disk.directory).size() >= most) return true;
  const auto sealed = seal(disk.seal, context, key.pkcs8());
  const auto name = to_hex(random_bytes(8));
  const auto part = disk.directory / (name + ".part");
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const auto n = ::write(fd, sealed.data(), sealed.size());
  const bool written = n == static_cast<ssize_t>(sealed.size());
  ::close(fd);
  if (written) stdfs::rename(part, disk.directory / (name + std::string(suffix)), error);
  if (!written || error) ::unlink(part.c_str());
  return written && !error;
}

KeyPool::KeyPool(asio::any_io_executor executor, Pool& pool, std::size_t target,
                 std::optional<OnDisk> disk)
    : pool_(pool), target_(target), disk_(std::move(disk)), group_(std::move(executor)) {}

Task<RsaPrivateKey> KeyPool::take() {
  if (!keys_.empty()) {
    auto key = std::move(keys_.front());
    keys_.pop_front();
    fill();
    co_return key;
  }
  auto work = [this]() -> RsaPrivateKey {
    if (disk_) {
      if (auto stored = take_stored_key(*disk_)) return std::move(*stored);
    }
    return RsaPrivateKey::generate();
  };
  auto key = co_await offload(pool_, std::ref(work));
  fill();
  co_return key;
}

void KeyPool::fill() {
  if (making_ || closed_ || keys_.size() >= target_) return;
  making_ = true;
  group_.spawn(make_keys());
}

Task<> KeyPool::make_keys() {
  if (!spare_) spare_ = std::make_unique<Pool>(1);
  bool look_on_disk = disk_.has_value();
  while (!closed_ && keys_.size() < target_) {
    auto work = [&]() -> RsaPrivateKey {
      if (look_on_disk) {
        if (auto stored = take_stored_key(*disk_)) return std::move(*stored);
        look_on_disk = false;
      }
      return generate_politely();
    };
    keys_.push_back(co_await offload(*spare_, std::ref(work)));
  }
  making_ = false;
}

Task<> KeyPool::close() {
  closed_ = true;
  co_await group_.join();
  if (!disk_ || keys_.empty()) co_return;
  auto work = [this] {
    for (const auto& key : keys_) (void)store_key(*disk_, key, std::max<std::size_t>(target_, 8));
  };
  co_await offload(pool_, std::ref(work));
  keys_.clear();
}

}  // namespace lafs::grid
