// SPDX-License-Identifier: Apache-2.0
#pragma once

// Asks servers which shares they have, in permuted order, a few at a time and only as many as are
// wanted (spec/immutable 9.3). A server that does not answer soon makes room for the next one; its
// answer is taken all the same until the deadline.

#include "grid/immutable/share_chooser.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

struct FinderLimits {
  std::size_t at_once = 10;
  Duration patience = std::chrono::seconds(1);
  Duration deadline = std::chrono::seconds(10);
  Duration ask_again = std::chrono::seconds(5);  // those that failed
};

class ShareFinder {
 public:
  // What is referred to outlives this. `news` is notified after every answer and whenever room for
  // further questions has appeared.
  ShareFinder(asio::any_io_executor executor, const storage::Roster& roster, StorageIndex si,
              ShareChooser& chooser, Signal& news, FinderLimits limits);

  // Asks the next servers, as far as there is room.
  void look_on();
  // Every server has answered or failed.
  bool exhausted() const { return next_ == order_.size() && under_way_ == 0; }
  // When the last search is some time ago: asks those again that failed, and servers that the
  // roster knows by now.
  void refresh(TimePoint now);

  const storage::KnownServer& server(ServerNo number) const { return servers_[number].known; }
  std::size_t servers() const { return servers_.size(); }
  // "A timed out, B is unreachable", for messages.
  std::string failures() const;

  Task<> close();

 private:
  struct Asked {
    storage::KnownServer known;
    std::optional<Error> error;
    bool answered = false;
  };

  void add_servers();
  Task<> ask(ServerNo number);
  Task<> count_as_slow(bool& slow, bool& done);

  const storage::Roster& roster_;
  StorageIndex si_;
  ShareChooser& chooser_;
  Signal& news_;
  FinderLimits limits_;
  std::vector<Asked> servers_;   // numbers stay the same
  std::vector<ServerNo> order_;  // to be asked, in this order
  std::size_t next_ = 0;         // in order_
  std::size_t under_way_ = 0;
  std::size_t slow_ = 0;  // of those under way
  TimePoint begun_;
  TaskGroup tasks_;
};

}  // namespace lafs::grid
