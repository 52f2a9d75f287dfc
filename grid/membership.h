// SPDX-License-Identifier: Apache-2.0
#pragma once

// The grid that a node belongs to, as its storage servers: those of private/servers.yaml, those
// that its introducers announce, and those that they announced when we last heard of them, so that
// a start needs no introducer at all. Static entries win over announced ones. I/O thread only;
// close() before destruction.

#include <functional>
#include <map>
#include <memory>
#include <set>
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

  // Reads the files again, and returns what brings servers and introducers in line with them:
  // what has not changed keeps its connections. Errors as open(); then nothing has changed.
  Result<std::function<void()>> reload(const NodeDir& node);

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

  // Asks all of them, also when enough is known without; until each has answered or failed.
  Task<> ask_introducers(Duration patience);
  std::vector<introducer::Client::Status> introducers() const;

  Task<> close();

 private:
  // What the node directory says.
  struct Settings {
    std::string nickname;
    std::vector<std::string> preferred;
    std::vector<Ed25519Public> managers;
    ServersFile servers;
    std::vector<IntroducerEntry> introducers;
    bool feedback = false;  // [feedback] enabled
  };
  struct Source {  // one introducer
    IntroducerEntry entry;
    std::filesystem::path cache_file;
    bool old = true;  // the cache is missing, or was not written for some time
    bool unsaved = false;
    introducer::Book book;
    std::unique_ptr<introducer::Client> client;
  };
  // A server as it is used now: what has not changed keeps its connections.
  struct Used {
    ServerEntry entry;
    ServerWish wish;
    bool reports = false;
    unsigned moves = 0;  // how often it was reached otherwise since the start
  };

  Membership(asio::any_io_executor executor, const NodeDir& node)
      : executor_(std::move(executor)),
        private_(node.private_path("")),
        roster_(),
        changed_(executor_),
        heard_(executor_),
        leaving_(executor_),
        watching_(executor_) {}

  static Result<Settings> read(const NodeDir& node);
  void apply(Settings settings);
  std::unique_ptr<Source> open_source(IntroducerEntry entry) const;
  void heard(Source& source, introducer::Announcement announcement,
             introducer::SignedAnnouncement proof);
  void adopt(const introducer::Announcement& announcement);
  void leave_out(const std::string& why);
  bool use(const ServerEntry& entry, const introducer::Announcement* announcement);
  static Task<> leave(std::unique_ptr<Source> source);
  // Keeps what was heard, and looks at certificates day by day, while we follow.
  Task<> watch();
  void save();
  void warn_of_certificates() const;

  asio::any_io_executor executor_;
  std::filesystem::path private_;
  storage::Identity identity_ = storage::Identity::for_this_process();
  Settings settings_;
  storage::Roster roster_;
  std::map<std::string, Used> used_;  // what the roster has, by id
  std::set<std::string> static_ids_;
  std::map<std::string, introducer::Announcement> announced_;  // the newest of each server
  std::vector<std::string> skipped_;
  std::vector<std::unique_ptr<Source>> sources_;
  bool following_ = false;
  Signal changed_;
  Signal heard_;
  TaskGroup leaving_, watching_;
};

// What of an announcement a server is reached and ordered by. Errc::bad_config when it cannot be
// used.
Result<ServerEntry> server_entry(const introducer::Announcement& announcement);

}  // namespace lafs::grid
