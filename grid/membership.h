// SPDX-License-Identifier: Apache-2.0
#pragma once

// The grid that a node belongs to, as its storage servers: those of private/servers.yaml, those
// that its introducers announce, and those that they announced when we last heard of them, so that
// a start needs no introducer at all. Static entries win over announced ones. I/O thread only;
// close() before destruction.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grid/introducer/book.h"
#include "grid/introducer/client.h"
#include "grid/node_dir.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

class Membership {
 public:
  // Reads the files; nothing is connected yet. Errc::bad_config; no_servers, saying what to do,
  // when neither a server nor an introducer is known.
  static Result<std::unique_ptr<Membership>> open(const NodeDir& node,
                                                  asio::any_io_executor executor);

  storage::Roster& roster() { return roster_; }
  // What cannot be used, with the reason.
  const std::vector<std::string>& skipped() const { return skipped_; }

  // Stays with the introducers from now on: for whoever runs for long, and for whoever knows no
  // server yet.
  void follow();
  // Follows when that is needed: fewer than `enough` servers are known, or what is remembered has
  // become old. Waits for a first server `patience` at most, and for `enough` of them a moment.
  // Errc::no_servers with what each introducer said.
  Task<Result<>> find_servers(std::size_t enough, Duration patience);

  std::vector<introducer::Client::Status> introducers() const;
  // Servers that announce a grid manager's certificate, when managers are configured.
  bool has_managers() const { return !managers_.empty(); }

  Task<> close();

 private:
  struct Source {  // one introducer
    IntroducerEntry entry;
    std::filesystem::path cache_file;
    bool old = true;  // the cache is missing, or was not written for some time
    introducer::Book book;
    std::unique_ptr<introducer::Client> client;
  };

  Membership(asio::any_io_executor executor, std::filesystem::path path)
      : executor_(std::move(executor)), path_(std::move(path)), changed_(executor_) {}

  Result<> read_static(const NodeDir& node);
  Result<> read_introducers(const NodeDir& node);
  void heard(Source& source, introducer::Announcement announcement,
             introducer::SignedAnnouncement proof);
  void adopt(const introducer::Announcement& announcement);

  asio::any_io_executor executor_;
  std::filesystem::path path_;
  std::string nickname_;
  std::vector<std::string> preferred_;
  std::vector<Ed25519Public> managers_;
  storage::Identity identity_;
  storage::Roster roster_;
  std::map<std::string, bool> static_ids_;
  std::map<std::string, introducer::Announcement> announced_;  // what the roster has, by server
  std::vector<std::string> skipped_;
  std::vector<std::unique_ptr<Source>> sources_;
  Signal changed_;
};

// What of an announcement a server is reached and ordered by. Errc::bad_config when it cannot be
// used.
Result<ServerEntry> server_entry(const introducer::Announcement& announcement);

}  // namespace lafs::grid
