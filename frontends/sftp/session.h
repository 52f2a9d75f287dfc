// SPDX-License-Identifier: Apache-2.0
#pragma once

// One SFTP conversation over one Pipe: requests in, replies out, many at a time. Turns decides what
// may run side by side. Memory is bounded: by the requests that are taken in, the bytes they carry,
// and the bytes of replies that wait to be sent. I/O thread only.

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "frontends/fs/walker.h"
#include "frontends/sftp/pipe.h"
#include "frontends/sftp/request.h"
#include "frontends/sftp/turns.h"
#include "grid/base/offload.h"

namespace lafs::sftp {

struct SessionOptions {
  std::string account = {};   // its name: for the log, and what "~name" may say
  std::string home = "/";     // what relative paths are below
  fs::Caller caller = {};     // who owns what is created
  bool read_only = false;     // what statvfs says; the Filesystem is what refuses
  std::uint32_t umask = 022;  // taken from the mode of what is created, as a login shell's
  std::size_t handles = 1000;
  std::size_t requests = 512;                   // taken in and not answered
  std::size_t request_bytes = 8 * 1024 * 1024;  // of those
  std::size_t reply_bytes = 4 * 1024 * 1024;    // of data being read, and again of data waiting
};

class Session {
 public:
  // Everything outlives run().
  Session(asio::any_io_executor executor, Pool& pool, fs::Filesystem& files,
          std::shared_ptr<Pipe> pipe, SessionOptions options);
  ~Session();

  // Until the client ends the stream, breaks it, or this task is cancelled. Then what was begun is
  // brought to its end and every handle is closed: what was written stays.
  Task<> run();

  std::size_t open_handles() const { return open_.size(); }
  std::size_t outstanding() const { return turns_.outstanding(); }

 private:
  // The replies to READ and WRITE of one handle leave in the order of the requests, in whatever
  // order they get ready: OpenSSH's client (9.0 to 9.2 at least) cuts a file short whose data it
  // got out of order.
  struct Line {
    struct Place {
      bool ready = false;
      Bytes head, body;
      std::size_t reserved = 0;  // of reading_bytes_
    };
    std::deque<std::shared_ptr<Place>> places;
  };
  // A file or directory that the client has open.
  struct Open {
    fs::HandleId id;
    fs::NodeRef node;
    std::shared_ptr<const std::string> path;
    fs::OpenFlags flags;
    bool directory = false;
    std::uint64_t after = 0;  // directories: where the listing goes on
    bool begun = false;
    std::shared_ptr<Line> line = std::make_shared<Line>();
  };
  struct Waiting {
    Request request;
    std::size_t bytes = 0;
    std::shared_ptr<Line> line = nullptr;  // of its handle, for READ and WRITE
    std::shared_ptr<Line::Place> place = nullptr;
  };

  Claim claim_of(const Request& request) const;
  Task<> take(Bytes packet);
  Task<> answer(Turns::Ticket ticket, Waiting waiting);
  Task<Bytes> reply_to(Waiting& waiting);
  Task<Result<Bytes>> perform(Waiting& waiting);
  void send(Waiting& waiting, Bytes reply);
  Task<> close_all();

  Result<Open*> find(std::uint64_t handle, bool directory = false);
  Result<std::uint64_t> remember(Open open);
  std::string absolute(const std::string& path) const { return fs::join_path(options_.home, path); }
  Task<Result<fs::Walker::Place>> new_place(const std::string& path, bool directory);

  // session_files.cc
  Task<Result<Bytes>> open(Request& request);
  Task<Result<Bytes>> close(Request& request);
  Task<Result<Bytes>> read(Waiting& waiting);
  Task<Result<Bytes>> write(Request& request);
  Task<Result<Bytes>> opendir(Request& request);
  Task<Result<Bytes>> readdir(Request& request);
  // session_names.cc
  Task<Result<Bytes>> stat(Request& request, fs::LastLink last);
  Task<Result<Bytes>> fstat(Request& request);
  Task<Result<Bytes>> setstat(Request& request, fs::LastLink last);
  Task<Result<Bytes>> fsetstat(Request& request);
  Task<Result<Bytes>> remove(Request& request);
  Task<Result<Bytes>> mkdir(Request& request);
  Task<Result<Bytes>> rmdir(Request& request);
  Task<Result<Bytes>> realpath(Request& request);
  Task<Result<Bytes>> rename(Request& request, fs::RenameMode mode);
  Task<Result<Bytes>> readlink(Request& request);
  Task<Result<Bytes>> symlink(Request& request);
  Task<Result<Bytes>> hardlink(Request& request);
  // session_extensions.cc
  Task<Result<Bytes>> statvfs(Request& request);
  Task<Result<Bytes>> fsync(Request& request);
  Result<Bytes> limits(Request& request);
  Result<Bytes> home_of(Request& request);
  Task<Result<Bytes>> copy_data(Request& request);
  Task<Result<Bytes>> names_by_id(Request& request);
  Task<Result<Bytes>> check_file(Request& request, fs::HandleId handle, std::uint64_t size);
  Task<Result<Bytes>> check_file_handle(Request& request);
  Task<Result<Bytes>> check_file_name(Request& request);

  Pool& pool_;
  fs::Filesystem& files_;
  fs::Walker walker_;
  std::shared_ptr<Pipe> pipe_;
  SessionOptions options_;
  bool greeted_ = false;

  Turns turns_;
  std::unordered_map<Turns::Ticket, Waiting> waiting_;  // for their turn
  std::size_t request_bytes_ = 0;
  Signal answered_;
  std::size_t reading_bytes_ = 0;  // of data on its way to the pipe
  Signal read_;
  TaskGroup running_;

  std::unordered_map<std::uint64_t, std::unique_ptr<Open>> open_;
  std::uint64_t next_handle_ = 1;
};

}  // namespace lafs::sftp
