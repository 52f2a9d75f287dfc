// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "frontends/sftp/commands.h"
#include "grid/base/log.h"

namespace lafs::sftp {
namespace {

constexpr auto hear_out_limit = std::chrono::seconds(1);

// Closing a socket with unread bytes resets the connection, and our last words, why it ends, would
// be lost with it.
void hear_out(int socket) {
  ::shutdown(socket, SHUT_WR);
  const auto by = Clock::now() + hear_out_limit;
  Bytes ignored(64 * 1024);
  while (Clock::now() < by) {
    pollfd readable{socket, POLLIN, 0};
    if (::poll(&readable, 1, 100) < 0) return;
    if (readable.revents && ::recv(socket, ignored.data(), ignored.size(), MSG_DONTWAIT) <= 0)
      return;
  }
}

}  // namespace

Connection::Connection(asio::any_io_executor executor, Server& server, ssh_session_struct* session,
                       int socket, std::string address)
    : executor_(executor),
      server_(server),
      socket_(socket),
      address_(std::move(address)),
      thread_ended_(executor),
      running_(executor),
      watching_(executor),
      ssh_(session, desk(), ssh_options()) {}

SshThread::Options Connection::ssh_options() const {
  SshThread::Options out;
  out.rekey_bytes = server_.options_.rekey_bytes;
  return out;
}

Connection::~Connection() { ::close(socket_); }

bool Connection::idle() const {
  return commands_ == 0 && std::ranges::all_of(sessions_, [](const Session* session) {
           return session->open_handles() == 0 && session->outstanding() == 0;
         });
}

Task<> Connection::run() {
  thread_ = std::thread([this] {
    ssh_.run();
    hear_out(socket_);
    asio::post(executor_, [this] {
      ended_ = true;
      thread_ended_.notify();
    });
  });
  watching_.spawn(watch_login());
  while (!ended_) co_await thread_ended_.wait_shielded();
  thread_.join();
  watching_.cancel();
  co_await watching_.join();
  co_await running_.join();
  files_.reset();
}

void Connection::stop(std::string reason) { ssh_.stop(std::move(reason)); }

void Connection::cut() { ::shutdown(socket_, SHUT_RDWR); }

// A connection that does not log in in time goes.
Task<> Connection::watch_login() {
  co_await sleep_for(server_.options_.login_limit);
  if (account_ || ended_) co_return;
  stop("Too long without a login");
  co_await sleep_for(std::chrono::seconds(5));
  if (!ended_) cut();
}

// ------------------------------------------------------------------------ the thread's questions

// On the connection's thread: has a coroutine run here, and waits for what it promises. It runs
// within running_, which is joined only after the thread has ended.
template <class T>
T Connection::ask(std::function<Task<>(std::shared_ptr<std::promise<T>>)> question) {
  // Shared: whoever promises may still be at it when we have the answer.
  auto answer = std::make_shared<std::promise<T>>();
  asio::post(executor_, [&] { running_.spawn(question(answer)); });
  return answer->get_future().get();
}

SshThread::Desk Connection::desk() {
  SshThread::Desk desk;
  desk.password = [this](const std::string& account, std::string password) {
    return ask<bool>([&](std::shared_ptr<std::promise<bool>> answer) {
      return answer_password(account, std::move(password), std::move(answer));
    });
  };
  desk.key = [this](const std::string& account, const fs::PublicKey& key, bool proved) {
    return ask<bool>([&](std::shared_ptr<std::promise<bool>> answer) {
      return answer_key(account, key, proved, std::move(answer));
    });
  };
  desk.refused = [this](const std::string& account, std::string_view why) {
    asio::post(executor_, [this, account, text = std::string(why)] {
      server_.login_.refused(attempt(account), text);
    });
  };
  desk.may_run = is_command;
  desk.start = [this](Program program, std::function<void()> wake) {
    const auto form = program.kind == Program::Kind::sftp ? Pipe::Form::packets : Pipe::Form::bytes;
    auto pipe = std::make_shared<Pipe>(executor_, form, std::move(wake));
    asio::post(executor_, [this, pipe, program = std::move(program)]() mutable {
      running_.spawn(run_program(std::move(pipe), std::move(program)));
    });
    return pipe;
  };
  return desk;
}

Task<> Connection::answer_password(std::string account, std::string password,
                                   std::shared_ptr<std::promise<bool>> answer) {
  const auto who = attempt(account);
  auto found = co_await server_.login_.by_password(who, std::move(password));
  if (found) account_ = std::move(*found);
  answer->set_value(account_.has_value());
}

Task<> Connection::answer_key(std::string account, fs::PublicKey key, bool proved,
                              std::shared_ptr<std::promise<bool>> answer) {
  bool good = false;
  if (proved) {
    auto found = server_.login_.by_key(attempt(account), key);
    good = found.has_value();
    if (found) account_ = std::move(*found);
  } else {
    good = server_.login_.knows_key(attempt(account), key);
  }
  answer->set_value(good);
  co_return;
}

// ------------------------------------------------------------------------ programs

Task<Result<std::shared_ptr<fs::Filesystem>>> Connection::files() {
  if (!files_) {
    CO_TRY(opened, co_await server_.open_root_(*account_));
    if (!files_) files_ = std::move(opened);  // another channel may have been quicker
  }
  co_return files_;
}

Task<> Connection::run_program(std::shared_ptr<Pipe> pipe, Program program) {
  auto opened = co_await files();
  if (!opened) {
    log::error("sftp: account " + account_->name +
               ": its root directory cannot be opened: " + opened.error().message());
    pipe->complain("lafs: the files of this account cannot be reached now: " +
                   log::redact(opened.error().message()) + "\n");
    pipe->finish(1);
    co_return;
  }
  const auto files = *opened;  // stays as long as we use it
  if (program.kind == Program::Kind::sftp) {
    SessionOptions options;
    options.account = account_->name;
    options.home = account_->home;
    options.caller = server_.options_.caller;
    options.read_only = account_->read_only;
    Session session(executor_, server_.pool_, *files, pipe, std::move(options));
    const auto here = sessions_.insert(sessions_.end(), &session);
    co_await session.run();
    sessions_.erase(here);
    pipe->finish(0);
  } else {
    CommandContext context{server_.pool_, *files, account_->home, server_.options_.caller};
    ++commands_;
    const int status = co_await run_command(context, program.command, *pipe);
    --commands_;
    pipe->finish(status);
  }
}

}  // namespace lafs::sftp
