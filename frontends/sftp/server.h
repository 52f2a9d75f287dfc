// SPDX-License-Identifier: Apache-2.0
#pragma once

// The SSH server: listens, lets in whom Login lets in, and gives each connection a thread
// (SshThread) and a place on the I/O thread (Connection). I/O thread only.

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "frontends/fs/filesystem.h"
#include "frontends/fs/login.h"
#include "frontends/sftp/host_keys.h"
#include "grid/base/offload.h"

namespace lafs::sftp {

// What an account may touch. Asked for when its first channel is opened.
using OpenRoot =
    std::function<Task<Result<std::shared_ptr<fs::Filesystem>>>(const fs::Account& account)>;

struct ServerOptions {
  std::vector<std::string> addresses;  // "127.0.0.1:8022", "[::]:22"; port 0: any
  std::vector<HostKey> host_keys;
  std::size_t connections = 256;
  std::size_t connections_of_one_address = 64;
  std::size_t strangers = 64;  // connections that have not logged in
  Duration login_limit = std::chrono::seconds(60);
  std::uint64_t rekey_bytes = 1ull << 30;  // over one connection, then it gets new keys
  std::string banner = "lafs";             // of the SSH greeting
  fs::Caller caller = {};
};

class Connection;

class Server {
 public:
  Server(asio::any_io_executor executor, Pool& pool, fs::Login& login, OpenRoot open_root,
         ServerOptions options);
  ~Server();

  // Listens. bad_argument for an address, busy when it is taken.
  Result<> start();
  // What it listens on, with real port numbers.
  const std::vector<std::string>& addresses() const { return listening_; }
  std::size_t connections() const;

  // No new connections; those with nothing open are told goodbye now, the others get `grace` to
  // finish what they do. Waits for all of them. Call once, before destruction.
  Task<> stop(Duration grace);

 private:
  struct Bind;
  struct Acceptors;
  friend class Connection;

  Task<> accept(std::size_t acceptor);
  void take(int socket, const std::string& address);
  Task<> attend(std::shared_ptr<Connection> connection);
  bool may_connect(const std::string& address) const;

  asio::any_io_executor executor_;
  Pool& pool_;
  fs::Login& login_;
  OpenRoot open_root_;
  ServerOptions options_;
  std::unique_ptr<Bind> bind_;
  std::unique_ptr<Acceptors> acceptors_;
  std::vector<std::string> listening_;
  std::list<std::shared_ptr<Connection>> connections_;
  bool stopping_ = false;
  TaskGroup accepting_, attending_;
};

}  // namespace lafs::sftp
