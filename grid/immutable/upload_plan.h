// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which server gets which shares of one upload (spec/immutable 10.3). Plain and synchronous: it is
// told what servers say, and says what to ask them next. Every round either places something or
// takes a server out, so the rounds end.

#include <algorithm>
#include <string>

#include "grid/immutable/encoding.h"
#include "grid/immutable/placement.h"
#include "grid/storage/server.h"

namespace lafs::grid {

class UploadPlan {
 public:
  UploadPlan(const Encoding& encoding, std::uint64_t share_size)
      : encoding_(encoding), share_size_(share_size) {}

  // Servers in permuted order. Until it has answered, a server takes no part.
  ServerNo add_server(std::string name);
  std::size_t servers() const { return servers_.size(); }

  // --- what servers said
  void answered(ServerNo server, std::uint64_t max_share_size, std::set<ShareNo> shares);
  // It is of no use for this upload; shares already granted there are not affected.
  void failed(ServerNo server, const Error& error);
  void allocated(ServerNo server, const std::set<ShareNo>& asked,
                 const storage::Allocation& answer);
  // A share that is known to be bad: it counts for nothing, and its server gets no new ones.
  void distrust(ServerNo server, ShareNo share) { servers_[server].bad.insert(share); }
  // A granted share was sent and is complete.
  void completed(ServerNo server, ShareNo share);
  // A granted share could not be sent; neither it nor its server counts any more.
  void lost(ServerNo server, ShareNo share, const Error& error);

  // --- what to do
  // What to ask servers for now. Empty: all is placed, or nothing more can be.
  std::map<ServerNo, std::set<ShareNo>> next_round() const;
  // Shares that are ours to send, each to one server.
  std::map<ShareNo, ServerNo> to_send() const;
  // Grants that to_send() does not use: to be aborted.
  std::vector<std::pair<ServerNo, ShareNo>> surplus() const;
  // Complete shares found, by server: their leases want renewal.
  const std::set<ShareNo>& existing(ServerNo server) const { return servers_[server].existing; }

  std::uint64_t happiness() const;
  // Enough distinct servers, and enough distinct shares to read the file at all.
  bool happy() const { return happiness() >= encoding_.happy && shares().size() >= encoding_.k; }
  // What happiness can still become with the servers that are left, when each takes what it is
  // given: those of `more` that have not been asked yet, too.
  bool could_be_happy(std::size_t more) const;
  // Every share has a home, or no server is left that could give it one.
  bool complete() const { return next_round().empty(); }
  // Some server that had room by its own words granted nothing: somebody else may be uploading the
  // same file, whose shares will be found when it is done.
  bool contended() const {
    return std::ranges::any_of(servers_, [](const Server& s) { return s.declined; });
  }
  // "needs 7 distinct servers, 5 are usable: A timed out, B is full". Errc::no_servers when not one
  // server has answered, else Errc::unhappy.
  Error complaint() const;

 private:
  enum class State : std::uint8_t { silent, writable, read_only, bad };
  struct Server {
    std::string name;
    State state = State::silent;
    std::string reason;  // why it is not writable
    std::set<ShareNo> existing;
    std::set<ShareNo> granted;
    std::set<ShareNo> bad;
    bool declined = false;
  };

  PlacementInput placement_input() const;
  void found(Server& server, const std::set<ShareNo>& shares);
  ShareMap shares() const;

  Encoding encoding_;
  std::uint64_t share_size_;
  std::vector<Server> servers_;
};

}  // namespace lafs::grid
