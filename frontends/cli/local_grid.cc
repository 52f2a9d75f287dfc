// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/local_grid.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "grid/base/netstring.h"

namespace lafs::cli {

namespace {

namespace stdfs = std::filesystem;
using namespace std::chrono_literals;

constexpr unsigned most_servers = 100;

stdfs::path lock_file(const stdfs::path& node) { return node / "lafs.pid"; }

std::string file_name(unsigned number) { return "server-" + std::to_string(number); }

// The numbers of the server-N folders, ascending.
Result<std::vector<unsigned>> numbers_in(const stdfs::path& directory) {
  std::vector<unsigned> out;
  std::error_code error;
  for (stdfs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    const auto name = i->path().filename().string();
    if (!name.starts_with("server-")) continue;
    const auto number = parse_decimal(std::string_view(name).substr(7));
    std::error_code ignored;
    if (number && *number >= 1 && *number <= most_servers &&
        stdfs::exists(i->path() / "tahoe.cfg", ignored)) {
      out.push_back(static_cast<unsigned>(*number));
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return grid::system_error(error.value(), directory, "read");
  }
  std::ranges::sort(out);
  return out;
}

// A process by a descriptor, which no other process can come to be.
class ProcessHandle {
 public:
  explicit ProcessHandle(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~ProcessHandle() {
    if (fd_ >= 0) ::close(fd_);
  }
  ProcessHandle(const ProcessHandle&) = delete;
  ProcessHandle& operator=(const ProcessHandle&) = delete;

  bool valid() const { return fd_ >= 0; }
  bool send(int signal) const {
    return ::syscall(SYS_pidfd_send_signal, fd_, signal, nullptr, 0) == 0 || errno == ESRCH;
  }
  bool ended_within(Duration limit) const {
    const auto deadline = Clock::now() + limit;
    while (true) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      pollfd one{fd_, POLLIN, 0};
      const int ready = ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready > 0) return true;
      if (ready == 0 || errno != EINTR) return false;
    }
  }

 private:
  int fd_;
};

}  // namespace

Result<grid::FileLock> take_server_lock(const stdfs::path& node) {
  auto lock = grid::FileLock::try_take(lock_file(node));
  if (lock) {
    TRY_DO(lock->write(std::to_string(::getpid()) + "\n"));
    return lock;
  }
  if (lock.error().code != Errc::busy) return lock;
  TRY(text, grid::read_small_file(lock_file(node), 64));
  return fail(Errc::busy, "a server runs on " + node.string() + " already, as process " +
                              std::string(grid::trimmed(text)));
}

Result<std::optional<pid_t>> server_process(const stdfs::path& node) {
  std::error_code ignored;
  if (!stdfs::exists(lock_file(node), ignored)) return std::nullopt;
  // Twice: the holder may be between taking the lock and writing its number.
  for (int attempt = 0; attempt < 2; ++attempt) {
    {
      auto lock = grid::FileLock::try_take(lock_file(node));
      if (lock) return std::nullopt;
      if (lock.error().code != Errc::busy) return std::unexpected(lock.error());
    }
    TRY(text, grid::read_small_file(lock_file(node), 64));
    const auto pid = parse_decimal(grid::trimmed(text));
    if (pid && *pid > 1 && *pid < (1u << 30)) return static_cast<pid_t>(*pid);
    ::poll(nullptr, 0, 20);
  }
  return fail(Errc::busy, lock_file(node).string() + " is locked by something that is no server");
}

Result<LocalGrid::Member> LocalGrid::read(unsigned number) const {
  Member out;
  out.number = number;
  out.node = stdfs::absolute(directory_ / file_name(number));
  TRY(node, grid::NodeDir::open(out.node));
  TRY(who, grid::StorageNode::prepare(node, std::nullopt));
  out.announcement = std::move(who.announcement);
  return out;
}

Result<> LocalGrid::load() {
  TRY(numbers, numbers_in(directory_));
  if (numbers.empty()) {
    return fail(Errc::not_found, "no local grid in " + directory_.string() +
                                     "; make one with `lafs grid start --servers 5 --dir " +
                                     directory_.string() + "`");
  }
  members_.clear();
  for (const auto number : numbers) {
    TRY(member, read(number));
    members_.push_back(std::move(member));
  }
  std::error_code ignored;
  if (stdfs::exists(introducer() / "tahoe.cfg", ignored)) {
    TRY(node, grid::NodeDir::open(introducer()));
    TRY(places, grid::configured_places(node));
    introducer_address_ = places.listen.front();
  }
  return {};
}

stdfs::path LocalGrid::introducer() const { return stdfs::absolute(directory_ / "introducer"); }

Result<std::uint16_t> LocalGrid::free_port() const {
  std::vector<std::uint16_t> taken{introducer_address_.port};
  for (const auto& member : members_) {
    for (const auto& at : grid::endpoints_of(member.announcement)) taken.push_back(at.port);
  }
  return grid::choose_free_port("127.0.0.1", taken);
}

Result<> LocalGrid::prepare_introducer() {
  const auto node = introducer();
  TRY_DO(grid::make_directory(node, 0700));
  TRY_DO(grid::make_directory(node / "private", 0700));
  std::error_code ignored;
  if (!stdfs::exists(node / "tahoe.cfg", ignored)) {
    TRY(port, free_port());
    const auto port_text = std::to_string(port);
    const std::string config =
        "# The introducer of a local grid, made by `lafs grid start`.\n"
        "\n[node]\n"
        "nickname = introducer\n"
        "tub.port = tcp:" +
        port_text +
        ":interface=127.0.0.1\n"
        "tub.location = tcp:127.0.0.1:" +
        port_text + "\n\n[storage]\nenabled = false\n";
    TRY_DO(grid::create_file(node / "tahoe.cfg", config, grid::public_file));
  }
  TRY(opened, grid::NodeDir::open(node));
  TRY(places, grid::configured_places(opened));
  introducer_address_ = places.listen.front();
  TRY(identity, grid::storage::Identity::load_or_create(opened.private_path("node.pem")));
  TRY(furl, grid::own_furl(opened.private_path("introducer.furl"), identity, places.location));
  introducers_text_ = grid::format_introducers({{"local", furl.text()}});
  if (auto now = grid::read_small_file(introducers_yaml()); now && *now == introducers_text_)
    return {};
  return grid::replace_file(introducers_yaml(), introducers_text_, grid::private_file);
}

Result<> LocalGrid::add(unsigned number) {
  const auto node = directory_ / file_name(number);
  TRY(port, free_port());
  const auto port_text = std::to_string(port);
  TRY_DO(grid::make_directory(node, 0700));
  TRY_DO(grid::make_directory(node / "private", 0700));
  const std::string config =
      "# A storage server of a local grid, made by `lafs grid start`.\n"
      "\n[node]\n"
      "nickname = " +
      file_name(number) +
      "\n"
      "tub.port = tcp:" +
      port_text +
      ":interface=127.0.0.1\n"
      "tub.location = tcp:127.0.0.1:" +
      port_text +
      "\n"
      "\n[storage]\n"
      "enabled = true\n";
  TRY_DO(grid::create_file(node / "private" / "introducers.yaml", introducers_text_,
                           grid::private_file));
  TRY_DO(grid::create_file(node / "tahoe.cfg", config, grid::public_file));
  TRY(member, read(number));
  members_.push_back(std::move(member));
  return {};
}

Result<> LocalGrid::prepare(unsigned count) {
  if (count < 1 || count > most_servers) {
    return fail(Errc::bad_argument, "from 1 to " + std::to_string(most_servers) + " servers");
  }
  TRY_DO(grid::make_directory(directory_, 0700));
  // Two that prepare at once would choose different keys for one server.
  TRY(lock, grid::FileLock::wait(directory_));
  TRY(numbers, numbers_in(directory_));
  if (!numbers.empty()) TRY_DO(load());
  TRY_DO(prepare_introducer());
  for (unsigned number = 1; number <= count; ++number) {
    if (std::ranges::find(numbers, number) == numbers.end()) TRY_DO(add(number));
  }
  std::ranges::sort(members_, {}, &Member::number);
  std::vector<grid::ServerEntry> entries;
  for (const auto& member : members_) entries.push_back(member.announcement);
  const auto text = grid::format_servers(entries);
  if (auto now = grid::read_small_file(servers_yaml()); now && *now == text) return {};
  return grid::replace_file(servers_yaml(), text, grid::private_file);
}

Result<pid_t> LocalGrid::start(const stdfs::path& node_path, const char* service) {
  const auto log = node_path / "log";
  const int log_fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) return grid::system_error(errno, log, "write");
  const int null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const std::string node = node_path.string();
  const char* const arguments[] = {"lafs", "--node", node.c_str(), "--log",
                                   "info", "serve",  service,      nullptr};
  const pid_t child = ::fork();
  if (child == 0) {
    // Only what is safe between fork and exec.
    ::setsid();
    [[maybe_unused]] const int moved = ::chdir("/");
    ::dup2(null_fd, STDIN_FILENO);
    ::dup2(log_fd, STDOUT_FILENO);
    ::dup2(log_fd, STDERR_FILENO);
    ::syscall(SYS_close_range, 3u, ~0u, 0u);
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  const int error = errno;
  ::close(log_fd);
  ::close(null_fd);
  if (child < 0) return grid::system_error(error, node_path, "start a process for");
  return child;
}

Result<bool> LocalGrid::stop(const stdfs::path& node, Duration patience) {
  TRY(pid, server_process(node));
  if (!pid) return false;
  const ProcessHandle process(*pid);
  // Asked again with the handle open: now the number means the process that holds the lock.
  TRY(still, server_process(node));
  if (!still || *still != *pid || !process.valid()) return false;
  const auto failed = [&] {
    return fail(Errc::not_permitted,
                "stop process " + std::to_string(*pid) + " of " + node.string());
  };
  if (!process.send(SIGTERM)) return failed();
  if (process.ended_within(patience)) return true;
  if (!process.send(SIGKILL) || !process.ended_within(10s)) return failed();
  return true;
}

std::string LocalGrid::last_words(const stdfs::path& node) {
  const auto text = grid::read_small_file(node / "log", 64 << 20);
  if (!text) return {};
  auto all = grid::trimmed(*text);
  return std::string(all.substr(all.rfind('\n') + 1));
}

}  // namespace lafs::cli
