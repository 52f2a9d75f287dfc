// SPDX-License-Identifier: Apache-2.0
#pragma once

// The FTP server: listens, lets in whom the limits allow, owns the sessions. I/O thread only.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "frontends/fs/filesystem.h"
#include "frontends/fs/login.h"
#include "frontends/ftp/data_address.h"
#include "frontends/ftp/data_channel.h"
#include "frontends/ftp/tls.h"

namespace lafs::ftp {

struct Options {
  bool plain = false;  // logins and data in the clear from everywhere, not only loopback
  bool active = true;  // PORT and EPRT
  bool require_resumed =
      false;  // data connections must resume the control connection's TLS session
  bool require_close_notify = false;  // an upload over TLS that ends without it is cut, not whole
  PortRange passive_ports;
  std::optional<Address> external;  // what PASV says to clients from outside
  std::optional<fs::Account> anonymous;
  std::size_t sessions = 1000, sessions_of_address = 64;
  Duration login_limit = std::chrono::seconds(60);
  Duration data_limit = std::chrono::seconds(120);    // a data connection that moves nothing
  Duration connect_limit = std::chrono::seconds(30);  // until there is one
  Duration reply_limit = std::chrono::seconds(60);    // a client that does not read its replies
  std::uint32_t idle_limit = 300;                     // seconds between commands
  std::string banner = "lafs FTP server";
};

// The files that an account sees. Closing them is the giver's.
using OpenRoot = std::function<Task<Result<std::shared_ptr<fs::Filesystem>>>(fs::Account account)>;

class Service {
 public:
  // `login` and `pool` outlive the service. Without `tls` everything is in the clear.
  Service(asio::any_io_executor executor, Pool& pool, fs::Login& login, OpenRoot open_root,
          std::optional<Tls> tls, Options options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Binds and starts to serve; may be called for several addresses. Port 0 takes a free one.
  // Returns the port. bad_argument, access_denied, busy, io.
  Task<Result<std::uint16_t>> listen(std::string address, std::uint16_t port, bool implicit_tls);
  // Stops listening, ends every session and waits for that. Call before destruction.
  Task<> close();

  std::size_t sessions() const;
  std::uint64_t bytes_received() const;
  std::uint64_t bytes_sent() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::ftp
