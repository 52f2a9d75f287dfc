// SPDX-License-Identifier: Apache-2.0
#pragma once

// One SSH connection's side on the I/O thread: who it is, what it has open, the programs that its
// channels run. Its thread asks it through post and future; it never waits for its thread, except
// to join it when it has ended.

#include <future>
#include <memory>
#include <thread>

#include "frontends/sftp/server.h"
#include "frontends/sftp/session.h"
#include "frontends/sftp/ssh_thread.h"

namespace lafs::sftp {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Takes the session; `socket` is a duplicate of its socket, to cut it.
  Connection(asio::any_io_executor executor, Server& server, ssh_session_struct* session,
             int socket, std::string address);
  ~Connection();

  const std::string& address() const { return address_; }
  bool stranger() const { return !account_; }
  // Nothing open, nothing running but an SFTP session that waits for requests.
  bool idle() const;

  // Runs the thread; ends when the thread and everything begun here have ended.
  Task<> run();
  void stop(std::string reason);
  // Now, whatever it does.
  void cut();

 private:
  SshThread::Desk desk();
  SshThread::Options ssh_options() const;
  template <class T>
  T ask(std::function<Task<>(std::shared_ptr<std::promise<T>>)> question);

  Task<> answer_password(std::string account, std::string password,
                         std::shared_ptr<std::promise<bool>> answer);
  Task<> answer_key(std::string account, fs::PublicKey key, bool proved,
                    std::shared_ptr<std::promise<bool>> answer);
  Task<> run_program(std::shared_ptr<Pipe> pipe, Program program);
  Task<Result<std::shared_ptr<fs::Filesystem>>> files();
  Task<> watch_login();
  fs::Login::Attempt attempt(std::string account) const { return {"sftp", address_, account}; }

  asio::any_io_executor executor_;
  Server& server_;
  int socket_;
  std::string address_;
  std::optional<fs::Account> account_;
  std::shared_ptr<fs::Filesystem> files_;
  std::list<Session*> sessions_;
  std::size_t commands_ = 0;
  bool ended_ = false;
  Signal thread_ended_;
  TaskGroup running_, watching_;
  SshThread ssh_;
  std::thread thread_;
};

}  // namespace lafs::sftp
