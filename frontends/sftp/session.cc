// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/session.h"

#include <exception>

#include "frontends/sftp/reply.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::sftp {

Session::Session(asio::any_io_executor executor, Pool& pool, fs::Filesystem& files,
                 std::shared_ptr<Pipe> pipe, SessionOptions options)
    : pool_(pool),
      files_(files),
      walker_(files),
      pipe_(std::move(pipe)),
      options_(std::move(options)),
      answered_(executor),
      read_(executor),
      running_(executor) {}

Session::~Session() = default;

Task<> Session::run() {
  while (true) {
    auto packet = co_await pipe_->read();
    if (!packet) break;
    co_await take(std::move(*packet));
  }
  if (const auto problem = pipe_->problem())
    log::info("sftp: " + options_.account + ": " + problem->message());
  co_await running_.join();
  co_await close_all();
}

// Starts a request, or lets it wait for its turn.
Task<> Session::take(Bytes packet) {
  const std::size_t size = packet.size();
  auto decoded = decode(std::move(packet));
  auto& request = decoded.request;
  if (request.op == Op::init) {
    // Whatever version it speaks, ours is 3; a second INIT is answered as the first.
    greeted_ = true;
    pipe_->write(version_packet());
    co_return;
  }
  if (decoded.bad || !greeted_) {
    pipe_->write(status_packet(request.id, Status::bad_message,
                               greeted_ ? "the packet is damaged" : "the first packet is INIT"));
    co_return;
  }
  while (turns_.outstanding() >= options_.requests ||
         (request_bytes_ + size > options_.request_bytes && turns_.outstanding() > 0)) {
    co_await answered_.wait();
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
  request_bytes_ += size;
  const auto [ticket, now] = turns_.add(claim_of(request));
  Waiting waiting{.request = std::move(request), .bytes = size};
  if (waiting.request.op == Op::read || waiting.request.op == Op::write) {
    if (const auto open = open_.find(waiting.request.handle); open != open_.end()) {
      waiting.line = open->second->line;
      waiting.place = waiting.line->places.emplace_back(std::make_shared<Line::Place>());
    }
  }
  if (now) {
    running_.spawn(answer(ticket, std::move(waiting)));
  } else {
    waiting_.emplace(ticket, std::move(waiting));
  }
}

namespace {
struct Figures {
  metrics::Registry& all = metrics::of_process();
  metrics::Histogram& seconds = all.histogram(
      "lafs_sftp_request_seconds", "How long SFTP requests took.", metrics::latency_bounds());
};

Figures& figures() {
  static Figures out;
  return out;
}
}  // namespace

Task<> Session::answer(Turns::Ticket ticket, Waiting waiting) {
  const metrics::Timed timed(figures().seconds);
  auto reply = co_await reply_to(waiting);
  send(waiting, std::move(reply));
  request_bytes_ -= waiting.bytes;
  for (const auto next : turns_.done(ticket)) {
    auto found = waiting_.extract(next);
    running_.spawn(answer(next, std::move(found.mapped())));
  }
  answered_.notify();
}

// What is ready and at the head of its line goes out.
void Session::send(Waiting& waiting, Bytes reply) {
  if (!waiting.line) {
    pipe_->write(std::move(reply));
    return;
  }
  waiting.place->head = std::move(reply);
  waiting.place->ready = true;
  auto& places = waiting.line->places;
  while (!places.empty() && places.front()->ready) {
    auto& place = *places.front();
    pipe_->write(std::move(place.head), std::move(place.body));
    reading_bytes_ -= place.reserved;
    places.pop_front();
  }
  read_.notify();
}

// A bug costs one request.
Task<Bytes> Session::reply_to(Waiting& waiting) {
  auto& request = waiting.request;
  std::string bug;
  try {
    auto done = co_await perform(waiting);
    if (done) co_return std::move(*done);
    co_return error_packet(request.id, done.error());
  } catch (const std::exception& error) {
    bug = error.what();
  }
  log::error("bug: sftp request " + std::to_string(static_cast<int>(request.op)) + ": " + bug);
  co_return error_packet(request.id, {Errc::internal, ""});
}

Claim Session::claim_of(const Request& request) const {
  Claim claim;
  const auto on_path = [&](const std::string& path, bool changes) {
    claim.paths.push_back(
        {std::make_shared<const std::string>(plain_path(options_.home, path)), changes});
  };
  const auto on_handle = [&](std::uint64_t handle, bool changes, std::uint64_t begin = 0,
                             std::uint64_t end = UINT64_MAX) {
    const auto found = open_.find(handle);
    const bool known = found != open_.end();
    if (changes && known && found->second->flags.append) {
      begin = 0;
      end = UINT64_MAX;
    }
    claim.handles.push_back({handle, begin, end, changes});
    if (changes && known) claim.paths.push_back({found->second->path, true, true});
  };
  const auto end_of = [](std::uint64_t offset, std::uint64_t length) {
    return length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
  };
  switch (request.op) {
    case Op::read:
      on_handle(request.handle, false, request.offset, end_of(request.offset, request.length));
      break;
    case Op::write:
      on_handle(request.handle, true, request.offset, end_of(request.offset, request.size));
      break;
    case Op::fstat:
    case Op::fstatvfs:
    case Op::check_file_handle:
      on_handle(request.handle, false);
      break;
    case Op::close:
    case Op::fsetstat:
    case Op::readdir:
    case Op::fsync:
      on_handle(request.handle, true);
      break;
    case Op::copy_data:
      on_handle(request.handle, false);
      on_handle(request.second_handle, true);
      break;
    case Op::open:
      on_path(request.path, request.flags & (open_flag::create | open_flag::truncate));
      break;
    case Op::lstat:
    case Op::stat:
    case Op::opendir:
    case Op::realpath:
    case Op::readlink:
    case Op::statvfs:
    case Op::expand_path:
    case Op::check_file_name:
      on_path(request.path, false);
      break;
    case Op::setstat:
    case Op::lsetstat:
    case Op::remove:
    case Op::mkdir:
    case Op::rmdir:
      on_path(request.path, true);
      break;
    case Op::rename:
    case Op::posix_rename:
    case Op::hardlink:
      on_path(request.path, request.op != Op::hardlink);
      on_path(request.second, true);
      break;
    case Op::symlink:
      on_path(request.second, true);
      break;
    case Op::init:
    case Op::limits:
    case Op::home_directory:
    case Op::names_by_id:
    case Op::unknown:
      break;
  }
  return claim;
}

Task<Result<Bytes>> Session::perform(Waiting& waiting) {
  auto& request = waiting.request;
  switch (request.op) {
    case Op::open:
      co_return co_await open(request);
    case Op::close:
      co_return co_await close(request);
    case Op::read:
      co_return co_await read(waiting);
    case Op::write:
      co_return co_await write(request);
    case Op::lstat:
      co_return co_await stat(request, fs::LastLink::keep);
    case Op::stat:
      co_return co_await stat(request, fs::LastLink::follow);
    case Op::fstat:
      co_return co_await fstat(request);
    case Op::setstat:
      co_return co_await setstat(request, fs::LastLink::follow);
    case Op::lsetstat:
      co_return co_await setstat(request, fs::LastLink::keep);
    case Op::fsetstat:
      co_return co_await fsetstat(request);
    case Op::opendir:
      co_return co_await opendir(request);
    case Op::readdir:
      co_return co_await readdir(request);
    case Op::remove:
      co_return co_await remove(request);
    case Op::mkdir:
      co_return co_await mkdir(request);
    case Op::rmdir:
      co_return co_await rmdir(request);
    case Op::realpath:
    case Op::expand_path:
      co_return co_await realpath(request);
    case Op::rename:
      co_return co_await rename(request, fs::RenameMode::no_replace);
    case Op::posix_rename:
      co_return co_await rename(request, fs::RenameMode::replace);
    case Op::readlink:
      co_return co_await readlink(request);
    case Op::symlink:
      co_return co_await symlink(request);
    case Op::hardlink:
      co_return co_await hardlink(request);
    case Op::statvfs:
    case Op::fstatvfs:
      co_return co_await statvfs(request);
    case Op::fsync:
      co_return co_await fsync(request);
    case Op::limits:
      co_return limits(request);
    case Op::home_directory:
      co_return home_of(request);
    case Op::copy_data:
      co_return co_await copy_data(request);
    case Op::names_by_id:
      co_return co_await names_by_id(request);
    case Op::check_file_handle:
      co_return co_await check_file_handle(request);
    case Op::check_file_name:
      co_return co_await check_file_name(request);
    case Op::init:
    case Op::unknown:
      break;
  }
  co_return fail(Errc::unsupported, request.path);
}

Result<Session::Open*> Session::find(std::uint64_t handle, bool directory) {
  const auto found = open_.find(handle);
  if (found == open_.end()) return fail(Errc::bad_handle, "no such handle");
  if (found->second->directory != directory)
    return fail(Errc::bad_handle, directory ? "not a directory's handle" : "a directory's handle");
  return found->second.get();
}

Result<std::uint64_t> Session::remember(Open open) {
  const auto handle = next_handle_++;
  open_.emplace(handle, std::make_unique<Open>(std::move(open)));
  return handle;
}

// Whatever became of the client: what it wrote is kept and goes its way.
Task<> Session::close_all() {
  while (!open_.empty()) {
    auto open = std::move(open_.begin()->second);
    open_.erase(open_.begin());
    if (open->directory) {
      co_await files_.close_directory(open->id);
      continue;
    }
    co_await files_.release(open->id);
  }
}

}  // namespace lafs::sftp
