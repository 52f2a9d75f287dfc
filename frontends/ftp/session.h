// SPDX-License-Identifier: Apache-2.0
#pragma once

// One client: reads its lines, does what Control says, answers. One command at a time; a transfer
// runs beside the lines, so that ABOR, NOOP and STAT are heard while it does.
//
// Ends when the client goes, when it is told to (end()), or when a limit is passed: the service
// calls look() every second.

#include <memory>

#include "frontends/fs/walker.h"
#include "frontends/ftp/control.h"
#include "frontends/ftp/data_channel.h"
#include "frontends/ftp/partial.h"
#include "frontends/ftp/service.h"
#include "frontends/ftp/stream.h"

namespace lafs::ftp {

// What all sessions of a service share.
struct Shared {
  asio::any_io_executor executor;
  Pool& pool;
  fs::Login& login;
  OpenRoot open_root;
  std::optional<Tls> tls;
  Options options;
  Uploads uploads = {};
  std::uint64_t received = 0, sent = 0;
};

class Session {
 public:
  Session(Shared& shared, Socket socket, const Address& peer, const Address& own,
          bool implicit_tls);
  ~Session();

  Task<> run();
  // Says why and hangs up; what is uploaded at the moment is kept for a restart.
  void end(Reply why);
  void look(TimePoint now);
  const Address& peer() const { return peer_; }

 private:
  struct Upload;  // session_uploads.cc

  // session.cc: lines and logins
  Task<> serve();
  Task<std::optional<LineReader::Line>> next_line();
  Task<bool> carry_out(Step step);  // false: hang up
  Task<> reply(Reply what);
  // A Reply made in the call would be a temporary that g++ 12 destroys twice.
  Task<> say(int code, std::string_view text);
  Task<> log_in(std::string user, std::string password, bool* hang_up);
  Task<bool> start_tls();
  Task<> abort();
  Task<Reply> listen_for_data(bool extended);

  // session_files.cc: what is answered by one reply
  Task<Reply> on_file(Step step);
  Task<Reply> change_directory(Step step);
  Task<Reply> make_directory(Step step);
  Task<Reply> remove_directory(Step step);
  Task<Reply> remove_file(Step step);
  Task<Reply> rename_from(Step step);
  Task<Reply> rename(Step step);
  Task<Reply> copy(Step step);
  Task<Reply> size(Step step);
  Task<Reply> modified(Step step);
  Task<Reply> change(Step step, fs::Changes changes, Reply done);
  Task<Reply> set_facts(Step step);
  Task<Reply> make_link(Step step);
  Task<Reply> available(Step step);
  Task<Reply> machine_facts(Step step);
  Task<Reply> status_of(Step step);
  Task<Reply> digest(Step step);
  Task<Result<fs::NodeRef>> interrupted(std::string path);

  // session_listings.cc
  struct Lister;
  Task<Reply> send_listing(Step step);
  Task<Result<>> list_directory(Lister& lister, fs::NodeRef& directory);

  // session_transfers.cc and session_uploads.cc
  Task<> transfer(Step step);
  Task<> move(Step step, std::optional<Reply>* outcome);
  Task<Reply> finish_upload(std::optional<Reply> trouble);
  Task<std::optional<Reply>> open_data(std::string what, bool download);
  Task<> close_data(bool orderly);
  Task<bool> send_data(ByteView bytes);
  Task<Reply> retrieve(Step step);
  Task<Reply> send_file(fs::HandleId handle, Range range, std::uint64_t size);
  // Nothing: all of it has come.
  Task<std::optional<Reply>> store(Step step);
  Task<std::optional<Reply>> choose_place(Upload& upload, Step step);
  Task<std::optional<Reply>> choose_base(Upload& upload, Step step);
  Task<std::optional<Reply>> open_part(Upload& upload);
  Task<std::optional<Reply>> copy_base(Upload& upload, std::uint64_t length);
  Task<std::optional<Reply>> receive(Upload& upload);
  Task<bool> client_is_gone(std::uint64_t size);
  Task<Reply> complete(Upload& upload);
  Task<Result<>> take_its_name(Upload& upload);
  Task<> leave(Upload& upload);
  Task<Result<std::uint64_t>> file_offset(fs::NodeId node, std::uint64_t wire);

  fs::Filesystem& files() { return *files_; }
  fs::Walker walker() { return fs::Walker(*files_); }
  fs::Caller caller() const;
  Reply failed(const Error& error, const std::string& path, bool making_a_name = false);

  Shared& shared_;
  Address peer_, own_;
  const ControlId id_;
  Stream stream_;
  Limiter writing_;  // of replies: one at a time
  LineReader lines_;
  Control control_;
  std::shared_ptr<fs::Filesystem> files_;
  bool read_only_ = false;

  TaskGroup transfers_;  // at most one
  TaskGroup moving_;     // the part of it that ABOR cuts short
  std::unique_ptr<PassivePort> passive_;
  std::unique_ptr<Stream> data_;
  std::unique_ptr<Upload> upload_;
  bool aborted_ = false, stalled_ = false;
  std::uint64_t moved_ = 0;  // bytes of this transfer

  std::optional<Reply> ending_;
  bool hung_up_ = false, quitting_ = false;  // the client's line has ended; it said QUIT
  bool working_ = false;
  const TimePoint began_;
  TimePoint idle_since_;
};

}  // namespace lafs::ftp
