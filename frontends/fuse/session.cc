// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/session.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>

#include "frontends/fuse/dispatch.h"
#include "grid/base/log.h"

namespace lafs::fuse {

namespace {

// What libfuse said last: its functions return no reason. I/O thread only.
std::string last_complaint;
std::string unfinished_line;

void keep_complaint(fuse_log_level level, const char* format, va_list arguments) {
  if (level > FUSE_LOG_ERR) return;
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  unfinished_line += text;  // it comes in pieces
  if (!unfinished_line.ends_with('\n')) return;
  unfinished_line.pop_back();
  last_complaint = std::exchange(unfinished_line, {});
  log::warning(last_complaint);
}

std::string joined(const std::vector<std::string>& options) {
  std::string out;
  for (const auto& option : options) {
    if (!out.empty()) out += ',';
    for (const char c : option) {  // libfuse's own escapes
      if (c == ',' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

ssize_t read_request(int fd, void* to, std::size_t size, void*) { return ::read(fd, to, size); }

ssize_t write_answer(int fd, iovec* parts, int count, void* user) {
  static_cast<Dispatch*>(user)->amend({parts, static_cast<std::size_t>(count)});
  return ::writev(fd, parts, count);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::start(Dispatch& dispatch, const std::string& mountpoint,
                                                const std::vector<std::string>& options) {
  fuse_set_log_func(keep_complaint);
  last_complaint.clear();
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  const std::string words = joined(options);
  fuse_opt_add_arg(&args, "lafs");
  fuse_opt_add_arg(&args, "-o");
  fuse_opt_add_arg(&args, words.c_str());
  auto* const raw =
      fuse_session_new(&args, &Dispatch::operations(), sizeof(fuse_lowlevel_ops), &dispatch);
  fuse_opt_free_args(&args);
  if (!raw) return fail(Errc::bad_argument, "mount options " + words + ": " + last_complaint);
  std::unique_ptr<Session> session(new Session(dispatch, raw));

  if (fuse_session_mount(raw, mountpoint.c_str()) != 0) {
    const auto code = errno == EPERM || errno == EACCES ? Errc::not_permitted : Errc::io;
    return fail(code, "cannot mount at " + mountpoint + ": " +
                          (last_complaint.empty() ? strerror(errno) : last_complaint));
  }
  const int fd = fuse_session_fd(raw);
  const fuse_custom_io io{.writev = write_answer,
                          .read = read_request,
                          .splice_receive = nullptr,
                          .splice_send = nullptr};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      fuse_session_custom_io(raw, &io, fd) != 0) {
    return fail(Errc::io, "cannot prepare the connection of " + mountpoint);
  }
  return session;
}

Session::~Session() {
  fuse_session_unmount(session_);
  fuse_session_destroy(session_);
}

void Session::abandon() {
  // libfuse unmounts unless the descriptor polls POLLERR, as it does when the mount is gone. The
  // writing end of a pipe without a reader does that, and putting it there closes the connection.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  ::close(ends[0]);
  ::dup2(ends[1], fuse_session_fd(session_));
  ::close(ends[1]);
}

int Session::descriptor() const { return fuse_session_fd(session_); }

Session::Step Session::step() {
  fuse_buf buffer{};
  Buffer memory = dispatch_.buffers().take();
  buffer.mem = memory.release();
  const int got = fuse_session_receive_buf(session_, &buffer);
  memory.reset(buffer.mem);  // libfuse makes one when it is given none
  if (got <= 0) {
    dispatch_.buffers().give(std::move(memory));
    if (got == -EAGAIN || got == -EINTR) return got == -EINTR ? Step::request : Step::nothing;
    if (got < 0) log::warning(std::string("fuse: the connection broke: ") + strerror(-got));
    return Step::ended;
  }
  const ByteView request(static_cast<const std::uint8_t*>(buffer.mem), buffer.size);
  dispatch_.begin(std::move(memory), request);
  fuse_session_process_buf(session_, &buffer);
  dispatch_.buffers().give(dispatch_.end());
  return fuse_session_exited(session_) ? Step::ended : Step::request;
}

}  // namespace lafs::fuse
