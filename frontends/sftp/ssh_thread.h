// SPDX-License-Identifier: Apache-2.0
#pragma once

// One SSH connection on a thread of its own: libssh works here and nowhere else. It lets clients in
// (by asking), opens their channels, and moves bytes between them and Pipes. It decides nothing
// about files and touches no state of the I/O thread.

#include <atomic>
#include <list>
#include <memory>
#include <string>

#include "frontends/fs/accounts.h"
#include "frontends/sftp/pipe.h"
#include "frontends/sftp/wake_fd.h"

// libssh's own; its header is for the .cc file.
struct ssh_session_struct;
struct ssh_channel_struct;
struct ssh_message_struct;

namespace lafs::sftp {

// What a channel was opened for.
struct Program {
  enum class Kind { sftp, command } kind = Kind::sftp;
  std::string command;
};

class SshThread {
 public:
  // Called on the connection's thread, may wait for the I/O thread.
  struct Desk {
    std::function<bool(const std::string& account, std::string password)> password;
    // `proved`: the client has signed with it; else it asks whether to.
    std::function<bool(const std::string& account, const fs::PublicKey&, bool proved)> key;
    std::function<void(const std::string& account, std::string_view why)> refused;
    // Starts it; null when there may be no more.
    std::function<std::shared_ptr<Pipe>(Program, std::function<void()> wake)> start;
    std::function<bool(const std::string& command)> may_run;
  };
  struct Options {
    std::size_t channels = 10;
    unsigned attempts = 6;                          // failed ones, of all kinds
    unsigned key_questions = 20;                    // keys offered before one is tried
    Duration keepalive = std::chrono::seconds(30);  // of silence, then a question
    unsigned keepalives = 4;                        // without an answer: gone
    std::uint64_t rekey_bytes = 1ull << 30;
    unsigned rekey_seconds = 3600;
    std::string banner;
  };

  // Takes the session, which has its socket and its host keys.
  SshThread(ssh_session_struct* session, Desk desk, Options options);
  ~SshThread();

  void run();

  // From any thread: says goodbye with this text once what is queued has been sent, or at once when
  // that takes too long.
  void stop(std::string reason);
  bool authenticated() const { return authenticated_; }

 private:
  struct Channel {
    ssh_channel_struct* channel = nullptr;
    std::shared_ptr<Pipe> pipe;  // null until its request came
    bool input_ended = false;
    std::vector<Pipe::Piece> sending;
    std::size_t piece = 0, at = 0;
  };

  static int on_message(ssh_session_struct*, ssh_message_struct* message, void* self);
  bool answer(ssh_message_struct* message);  // false: libssh refuses it
  bool authenticate(ssh_message_struct* message);
  bool open_channel(ssh_message_struct* message);
  bool channel_request(ssh_message_struct* message);
  bool let_in(ssh_message_struct* message, bool good);

  void serve();
  bool receive(Channel& channel);
  bool send(Channel& channel);
  void complain(Channel& channel);
  bool ended(Channel& channel);
  bool alive();
  bool stopping();

  ssh_session_struct* session_;
  Desk desk_;
  Options options_;
  std::shared_ptr<WakeFd> wake_ = std::make_shared<WakeFd>();
  std::list<Channel> channels_;
  Bytes scratch_;
  unsigned failed_ = 0, asked_ = 0;
  std::string asked_account_;  // for its password, by keyboard-interactive
  bool hang_up_ = false;       // too many attempts
  std::uint64_t heard_bytes_ = 0;
  TimePoint heard_at_, asked_at_;
  unsigned unanswered_ = 0;
  std::atomic<bool> authenticated_ = false;

  std::mutex mutex_;  // guards what follows
  std::string stop_reason_;
  std::optional<TimePoint> stop_by_;
};

}  // namespace lafs::sftp
