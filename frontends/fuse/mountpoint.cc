// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "grid/base/log.h"

extern char** environ;

namespace lafs::fuse {

namespace {

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    const auto end = std::min(line.find(' '), line.size());
    if (end > 0) out.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

// The kernel writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && text.size() - i > 3 && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      out +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// proc(5): id parent major:minor root mountpoint options tags... - type source superoptions
std::optional<MountEntry> parse_line(std::string_view line) {
  const auto w = words(line);
  if (w.size() < 7) return {};
  std::size_t dash = 6;
  while (dash < w.size() && w[dash] != "-") ++dash;
  if (dash + 2 >= w.size()) return {};
  return MountEntry{std::string(w[2]), unescape(w[4]), unescape(w[dash + 1]),
                    unescape(w[dash + 2])};
}

std::unexpected<Error> fail_errno(const std::string& what, int number) {
  const auto context = what + ": " + strerror(number);
  switch (number) {
    case ENOENT:
    case EINVAL:  // umount2: not a mount point
      return fail(Errc::not_found, context);
    case ENOTDIR:
      return fail(Errc::not_directory, context);
    case EBUSY:
      return fail(Errc::busy, context);
    case EPERM:
    case EACCES:
      return fail(Errc::not_permitted, context);
    default:
      return fail(Errc::io, context);
  }
}

Result<> run_fusermount(const std::string& path, bool lazy) {
  std::vector<const char*> args{"fusermount3", "-u", "-q"};
  if (lazy) args.push_back("-z");
  args.insert(args.end(), {"--", path.c_str(), nullptr});
  pid_t child = 0;
  const int failed = posix_spawnp(&child, "fusermount3", nullptr, nullptr,
                                  const_cast<char* const*>(args.data()), environ);
  if (failed) return fail_errno("fusermount3", failed);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno("fusermount3", errno);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (!mounted_at(path)) return fail(Errc::not_found, "nothing is mounted at " + path);
  return fail(Errc::busy, "fusermount3 could not unmount " + path);
}

bool write_file(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return good;
}

}  // namespace

unsigned MountEntry::minor() const {
  unsigned value = 0;
  const auto colon = device.find(':');
  if (colon != std::string::npos) {
    std::from_chars(device.data() + colon + 1, device.data() + device.size(), value);
  }
  return value;
}

std::optional<MountEntry> find_mount(std::string_view mountinfo, std::string_view path) {
  std::optional<MountEntry> found;
  while (!mountinfo.empty()) {
    const auto end = std::min(mountinfo.find('\n'), mountinfo.size());
    auto entry = parse_line(mountinfo.substr(0, end));
    if (entry && entry->mountpoint == path) found = std::move(entry);  // a later line is on top
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
  }
  return found;
}

std::optional<MountEntry> mounted_at(const std::string& path) {
  std::ifstream in("/proc/self/mountinfo");
  std::ostringstream text;
  text << in.rdbuf();
  return find_mount(text.view(), path);
}

Result<std::string> canonical_mountpoint(const std::string& path) {
  namespace stdfs = std::filesystem;
  std::error_code failed;
  if (auto whole = stdfs::canonical(path, failed); !failed) return whole.string();
  const int first = failed.value();
  auto absolute = stdfs::absolute(path, failed).lexically_normal();
  if (!failed && !absolute.has_filename()) absolute = absolute.parent_path();
  const auto parent = stdfs::canonical(absolute.parent_path(), failed);
  if (failed || first == ENOENT) return fail_errno(path, first);
  return (parent / absolute.filename()).string();
}

Result<std::string> prepare_mountpoint(const std::string& path, std::string_view type) {
  TRY(canonical, canonical_mountpoint(path));
  constexpr int most_dead_mounts = 16;
  struct stat s{};
  for (int i = 0;; ++i) {
    if (::stat(canonical.c_str(), &s) == 0) break;
    const bool dead = errno == ENOTCONN || errno == ECONNABORTED;
    if (!dead || i == most_dead_mounts) return fail_errno(canonical, errno);
    log::warning("fuse: clearing the dead mount at " + canonical);
    TRY_DO(unmount(canonical, true));
  }
  if (!S_ISDIR(s.st_mode)) return fail(Errc::not_directory, canonical);
  if (const auto there = mounted_at(canonical); there && there->type == type) {
    return fail(Errc::busy, "already mounted at " + canonical);
  }
  return canonical;
}

Result<> unmount(const std::string& path, bool lazy) {
  if (geteuid() != 0) return run_fusermount(path, lazy);
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  return fail_errno("unmount " + path, errno);
}

bool sever_connection(const MountEntry& mount) {
  return write_file("/sys/fs/fuse/connections/" + std::to_string(mount.minor()) + "/abort", "1");
}

bool set_read_ahead(const MountEntry& mount, unsigned kib) {
  return write_file("/sys/class/bdi/" + mount.device + "/read_ahead_kb", std::to_string(kib));
}

}  // namespace lafs::fuse
