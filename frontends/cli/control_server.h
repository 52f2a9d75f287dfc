// SPDX-License-Identifier: Apache-2.0
#pragma once

// A control socket in a node directory: 0600, for our own user and root only. The words are
// docs/CONTROL.md's. A caller who hangs up cancels what was asked. I/O thread only.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "frontends/cli/control_client.h"
#include "grid/base/task.h"

namespace lafs::cli {

class ControlServer {
 public:
  // Sends a {"progress": ...} line; `json` is its value.
  using Progress = std::function<Task<>(std::string json)>;
  // Gets the request as JSON, an object; returns the members of the answer as a JSON object.
  using Handler = std::function<Task<Result<std::string>>(std::string request, Progress progress)>;

  // `name`: of the socket. Errc::busy when a living process has it. A dead one's is replaced.
  static Result<std::unique_ptr<ControlServer>> listen(asio::any_io_executor executor,
                                                       std::filesystem::path node,
                                                       std::string name = control_socket_name);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // What {"do": verb} does. Before requests come: at the start.
  void on(std::string verb, Handler handler) { handlers_[std::move(verb)] = std::move(handler); }
  // Ends all conversations and removes the socket. Once.
  Task<> close();

 private:
  struct Socket;
  ControlServer(asio::any_io_executor executor, std::filesystem::path node, std::string name);
  Task<> accept();
  Task<> serve(std::shared_ptr<Socket> socket);
  Task<> answer(std::shared_ptr<Socket> socket, std::string line);

  asio::any_io_executor executor_;
  std::filesystem::path node_;
  std::string name_;
  std::map<std::string, Handler, std::less<>> handlers_;
  struct Acceptor;
  std::unique_ptr<Acceptor> acceptor_;
  TaskGroup accepting_;
  TaskGroup conversations_;
};

}  // namespace lafs::cli
