// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/transfer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cache/staging.h"
#include "grid/file_stream.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t piece = 1 << 20;  // bytes moved in one step

struct OpenFile {
  explicit OpenFile(int f) : fd(f) {}
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd;
};

Result<> read_exactly(int fd, std::uint64_t offset, MutableBytes out, const stdfs::path& path) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return grid::system_error(errno, path, "read");
    if (n == 0) return fail(Errc::io, path.string() + " became shorter while it was read");
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Task<Result<>> read_file(Pool& pool, std::shared_ptr<OpenFile> file, stdfs::path path,
                         std::uint64_t offset, MutableBytes out) {
  co_return co_await offload(pool, [&] { return read_exactly(file->fd, offset, out, path); });
}

Task<Result<>> read_staged(std::shared_ptr<cache::StagedFile> file, std::uint64_t offset,
                           MutableBytes out) {
  co_return file->read(offset, out);
}

// Waits a moment for input, so that a stopped command does not wait for it.
bool input_ready() {
  pollfd in{STDIN_FILENO, POLLIN, 0};
  return ::poll(&in, 1, 100) != 0;
}

// The next bytes of standard input; all of them.
Task<Result<>> read_pipe(Pool& pool, MutableBytes out) {
  while (!out.empty()) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "standard input");
    const ssize_t n = co_await offload(pool, [&]() -> ssize_t {
      if (!input_ready()) return -2;
      return ::read(STDIN_FILENO, out.data(), out.size());
    });
    if (n == -2 || (n < 0 && (errno == EINTR || errno == EAGAIN))) continue;
    if (n < 0) co_return fail(Errc::io, "cannot read standard input");
    if (n == 0) co_return fail(Errc::bad_argument, "standard input is shorter than --size says");
    out = out.subspan(static_cast<std::size_t>(n));
  }
  co_return Result<>{};
}

Result<> write_all(int fd, ByteView data, const stdfs::path& path) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return grid::system_error(errno, path, "write");
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<> check_local_name(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
      name.find('\0') != name.npos) {
    return fail(Errc::bad_name, "\"" + std::string(name) + "\" cannot be the name of a local file");
  }
  return {};
}

Result<LocalSource> open_local(Io io, const stdfs::path& path) {
  auto file = std::make_shared<OpenFile>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file->fd < 0) return grid::system_error(errno, path, "read");
  struct stat facts{};
  if (::fstat(file->fd, &facts) != 0) return grid::system_error(errno, path, "read");
  if (S_ISDIR(facts.st_mode)) return fail(Errc::is_directory, path.string());
  if (!S_ISREG(facts.st_mode)) {
    return fail(Errc::unsupported, path.string() + " is not a file; use - to read from a pipe");
  }
  LocalSource out;
  out.source.size = static_cast<std::uint64_t>(facts.st_size);
  auto* pool = &io.pool;
  out.source.read = [pool, file, path](std::uint64_t offset, MutableBytes to) {
    return read_file(*pool, file, path, offset, to);
  };
  out.facts.emplace();
  out.facts->mode = facts.st_mode & 07777;
  out.facts->mtime = facts.st_mtim;
  out.keep = file;
  return out;
}

Task<Result<LocalSource>> read_input(Io io, stdfs::path directory, Progress& progress) {
  CO_TRY(made, cache::StagedFile::create(directory.string(), 0));
  std::shared_ptr<cache::StagedFile> file = std::move(made);
  Bytes buffer(piece);
  std::uint64_t size = 0;
  while (true) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "standard input");
    const ssize_t n = co_await offload(io.pool, [&]() -> ssize_t {
      if (!input_ready()) return -2;
      return ::read(STDIN_FILENO, buffer.data(), buffer.size());
    });
    if (n == -2 || (n < 0 && (errno == EINTR || errno == EAGAIN))) continue;
    if (n < 0) co_return fail(Errc::io, "cannot read standard input");
    if (n == 0) break;
    CO_TRY_DO(file->write(size, ByteView(buffer).first(static_cast<std::size_t>(n))));
    size += static_cast<std::uint64_t>(n);
    progress.at(size);
  }
  LocalSource out;
  out.source.size = size;
  out.source.read = [file](std::uint64_t offset, MutableBytes to) {
    return read_staged(file, offset, to);
  };
  out.keep = file;
  co_return out;
}

Task<Result<LocalSource>> stream_input(Io io, std::uint64_t size) {
  LocalSource out;
  out.source.size = size;
  out.source.once = true;
  auto* pool = &io.pool;
  out.source.read = [pool](std::uint64_t, MutableBytes to) { return read_pipe(*pool, to); };
  co_return out;
}

Task<Result<Cap>> upload(Session& session, const LocalSource& from, Progress& progress) {
  auto source = from.source;
  progress.total(source.size);
  auto* bar = &progress;
  if (source.once) {
    co_return co_await session.client().put_random(
        source, [bar](std::uint64_t done, std::uint64_t) { bar->at(done); });
  }
  co_return co_await session.cached().put(
      source, [bar](std::uint64_t done, std::uint64_t) { bar->at(done); });
}

Task<Result<>> link(Place place, Cap cap, std::optional<cache::PosixFacts> facts) {
  if (place.is_directory()) co_return fail(Errc::is_directory, place.text);
  if (!place.parent) co_return fail(Errc::bad_argument, place.text + " has no name to replace");
  if (!place.parent->writable()) {
    co_return fail(Errc::read_only, "the directory of " + place.text);
  }
  grid::Edit::Set set;
  set.name = place.name;
  set.cap = std::move(cap);
  set.overwrite = grid::Overwrite::only_files;
  if (facts) {
    auto metadata = place.child ? place.child->metadata : grid::Metadata();
    auto all = *facts;
    if (place.child) {
      // Who replaces the content keeps the attributes that belong to the name.
      const auto old = place.child->metadata.posix();
      all.uid = old.uid;
      all.gid = old.gid;
      all.xattrs = old.xattrs;
    }
    metadata.set_posix(all);
    set.metadata = std::move(metadata);
  }
  std::vector<grid::Edit> edits;
  edits.emplace_back(std::move(set));
  auto done = co_await place.parent->apply(std::move(edits));
  if (!done) co_return annotate(std::move(done.error()), place.text);
  co_return Result<>{};
}

Task<Result<Cap>> store(Session& session, LocalSource from, Place place, Progress& progress) {
  if (place.is_directory()) co_return fail(Errc::is_directory, place.text);
  // Refused before anything was sent.
  const bool in_place = place.cap && place.cap->as<grid::MutableWriteCap>();
  if (!in_place) {
    if (!place.parent) co_return fail(Errc::bad_argument, place.text + " cannot be changed");
    if (!place.parent->writable()) {
      co_return fail(Errc::read_only, "the directory of " + place.text);
    }
  }
  if (in_place) {
    constexpr std::uint64_t most = std::uint64_t{1} << 30;
    if (from.source.size > most) {
      co_return fail(Errc::too_large,
                     place.text + " is a mutable file, which is replaced in memory");
    }
    Bytes contents(from.source.size);
    CO_TRY_DO(co_await from.source.read(0, contents));
    CO_TRY_DO(co_await session.cached().overwrite(*place.cap, std::move(contents)));
    co_return *place.cap;
  }
  CO_TRY(cap, co_await upload(session, from, progress));
  auto facts = from.facts;
  if (!facts) facts.emplace();
  CO_TRY_DO(co_await link(std::move(place), cap, std::move(facts)));
  co_return cap;
}

namespace {
// Past the cache: who fetches a whole file once has no use for what would be kept of it.
Task<Result<>> fetch_stream(Session& session, grid::ChkCap cap, std::uint64_t offset,
                            std::uint64_t length, const Sink& write, Progress& progress) {
  CO_TRY(stream, co_await grid::open_stream(session.client(), cap, offset, length));
  progress.total(std::min(length, cap.size - std::min(offset, cap.size)));
  Result<> outcome;
  while (outcome) {
    auto data = co_await stream->next();
    if (!data) {
      outcome = std::unexpected(std::move(data).error());
      break;
    }
    if (data->empty()) break;
    outcome = write(*data);
    progress.add(data->size());
  }
  co_await stream->close();
  co_return outcome;
}
}  // namespace

Task<Result<>> fetch(Session& session, Cap cap, std::uint64_t offset, std::uint64_t length,
                     Sink write, Progress& progress) {
  if (const auto* chk = cap.as<grid::ChkCap>()) {
    co_return co_await fetch_stream(session, *chk, offset, length, write, progress);
  }
  CO_TRY(size, co_await session.cached().size(cap));
  if (offset > size) offset = size;
  const auto end = offset + std::min(length, size - offset);
  progress.total(end - offset);
  while (offset < end) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
    CO_TRY(data, co_await session.cached().read(cap, offset,
                                                std::min<std::uint64_t>(piece, end - offset)));
    if (data.empty()) co_return fail(Errc::corrupt, "the file is shorter than it says");
    CO_TRY_DO(write(data));
    offset += data.size();
    progress.add(data.size());
  }
  co_return Result<>{};
}

Task<Result<>> fetch_to_file(Session& session, Cap cap, stdfs::path to, cache::PosixFacts facts,
                             Progress& progress) {
  std::string beside = to.string() + ".lafs-XXXXXX";
  OpenFile file(::mkostemp(beside.data(), O_CLOEXEC));
  if (file.fd < 0) co_return grid::system_error(errno, to, "create");
  const int fd = file.fd;
  auto got = co_await fetch(
      session, std::move(cap), 0, UINT64_MAX,
      [fd, &to](ByteView data) { return write_all(fd, data, to); }, progress);
  // mkostemp made it 0600; who asked for nothing else gets what the umask leaves.
  const auto mask = ::umask(0);
  ::umask(mask);
  const auto mode = facts.mode ? *facts.mode & 0777 : 0666 & ~mask;
  int error = 0;
  if (got && ::fchmod(fd, mode) != 0) error = errno;
  if (got && facts.mtime) {
    const timespec times[] = {*facts.mtime, *facts.mtime};
    ::futimens(fd, times);
  }
  // What a later rename replaces must not be more durable than what replaces it.
  if (got && !error && ::fsync(fd) != 0) error = errno;
  if (got && !error && ::rename(beside.c_str(), to.c_str()) != 0) error = errno;
  if (!got || error) ::unlink(beside.c_str());
  if (error) co_return grid::system_error(error, to, "write");
  co_return got;
}

}  // namespace lafs::cli
