// SPDX-License-Identifier: Apache-2.0
#pragma once

// An introducer: hears what storage servers announce and tells everybody who subscribed
// (spec/storage 8.5). Unlike Tahoe's it keeps what it heard across restarts, and passes it on to
// other introducers, so that any of them may be down. I/O thread only; close() before destruction.

#include <filesystem>
#include <memory>
#include <vector>

#include "grid/base/task.h"
#include "grid/introducer/book.h"
#include "grid/introducer/client.h"

namespace lafs::grid::introducer {

class Service {
 public:
  struct Options {
    std::string swissnum;                // the name that it is found by
    std::string furl;                    // as it is given out
    std::string version;                 // of the software
    std::filesystem::path state_file;    // what was heard; private to us
    std::vector<Client::Options> peers;  // other introducers: petname, furl
    std::size_t max_connections = 1000;
  };
  struct Status {
    std::size_t connections = 0, subscribers = 0, announcements = 0;
    std::vector<Client::Status> peers;
  };

  // `identity` outlives this.
  Service(asio::any_io_executor executor, const storage::Identity& identity, Options options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Reads what an earlier life heard. Errc::bad_config when the file is damaged.
  Result<> load();
  // Port 0: any. The port that was taken, or Errc::busy, access_denied, bad_argument.
  Result<std::uint16_t> listen(const std::string& address, std::uint16_t port);
  // Follows the peers.
  void start();
  // Other peers from now on; those that stay keep their connections.
  void set_peers(std::vector<Client::Options> peers);
  Status status() const;
  const Book& book() const;
  Task<> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid::introducer
