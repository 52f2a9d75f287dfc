// SPDX-License-Identifier: Apache-2.0
#pragma once

// An FTP server of one node directory, from its settings: certificate, accounts, roots, listeners.
// What `lafs serve ftp` and `lafs run` start.

#include <memory>
#include <string>
#include <vector>

#include "frontends/drive.h"
#include "frontends/fs/login.h"
#include "grid/node_dir.h"

namespace lafs {

struct FtpSettings {
  std::vector<std::string> addresses, implicit_addresses;  // HOST:PORT, port 0 for a free one
  std::string accounts;                                    // file
  std::string certificate, key;                            // files; empty: private/ftp.pem
  std::string passive_ports;                               // FIRST-LAST; empty: any
  std::string external_address;                            // IPv4
  std::string anonymous;                                   // alias:path or cap; empty: nobody
  std::string durability;                                  // of served_durability()
  bool no_tls = false, allow_plain = false, no_active = false, read_only = false;
  bool require_resumed = false, require_close_notify = false;
  std::optional<std::size_t> sessions;  // nothing: 1000
  std::size_t sessions_of_address = 64;
  std::optional<std::uint32_t> idle_limit;  // seconds; nothing: 300
};

// [ftpd] of tahoe.cfg says whether `lafs run` serves FTP.
Result<bool> ftp_enabled(const grid::NodeDir& node);
// What `settings` leaves open comes from [ftpd] (port, accounts.file, as Tahoe had them), and from
// what is usual after that. bad_config.
Result<FtpSettings> ftp_settings(FtpSettings settings, const grid::NodeDir& node);

class FtpServer {
 public:
  // `drive` and `login` outlive the server; guesses are counted together with whoever else uses
  // `login`. Errors of the settings, the files they name, and listening.
  static Task<Result<std::unique_ptr<FtpServer>>> start(Drive& drive, FtpSettings settings,
                                                        fs::Login* login);
  ~FtpServer();

  // A line for each listener: "ftp server on 127.0.0.1:8021 (AUTH TLS)".
  const std::string& listeners() const;
  std::string addresses() const;  // "127.0.0.1:8021, ..."
  // Ends every session. Call before destruction, and before the drive's close().
  Task<> close();

 private:
  struct State;
  explicit FtpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lafs
