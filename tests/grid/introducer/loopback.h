// SPDX-License-Identifier: Apache-2.0
#pragma once

// What tests of introducers over real connections share.

#include <filesystem>

#include "grid/base/base32.h"
#include "grid/introducer/service.h"

namespace lafs::test {

using namespace lafs::grid;
using namespace lafs::grid::introducer;

inline const std::string swissnum = "4hhlmfrnrhzxdfxm5bryzmksng2mm567";

struct Folder {
  Folder() {
    auto name = (std::filesystem::temp_directory_path() / "lafs-introducer-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

inline storage::Furl furl_for(const storage::Identity& who, std::uint16_t port) {
  storage::Furl out;
  out.tub_id = who.node_id();
  out.hints = {"tcp:127.0.0.1:" + std::to_string(port)};
  out.name = swissnum;
  return out;
}

inline Service::Options options_for(const Folder& folder, const storage::Identity& who) {
  Service::Options out;
  out.swissnum = swissnum;
  out.furl = furl_for(who, 1).text();
  out.version = "test";
  out.state_file = folder.path / "announcements.yaml";
  return out;
}

// A server's announcement, told apart by `who`.
inline SignedAnnouncement announce(std::uint8_t who, std::int64_t number) {
  OwnAnnouncement own;
  own.nickname = "server " + std::to_string(who);
  own.furl = "pb://6argvizxnhetns73trx6k3fw3g3mgom6@tcp:127.0.0.1:4567/x";
  own.number = number;
  return sign(announcement_message(own), Secret32(std::array<std::uint8_t, 32>{who}));
}

// A client that keeps what it heard.
struct Listener {
  Listener(asio::any_io_executor executor, const storage::Identity& identity, storage::Furl furl,
           std::vector<SignedAnnouncement> own)
      : publishes(std::move(own)), client(executor, identity, options(std::move(furl))) {
    client.start();
  }
  Client::Options options(storage::Furl furl) {
    Client::Options out;
    out.petname = "test";
    out.furl = std::move(furl);
    out.nickname = "nick";
    out.version = "test";
    out.published = [this] { return publishes; };
    out.heard = [this](Announcement a, SignedAnnouncement) { heard.push_back(std::move(a)); };
    return out;
  }
  // The test's own time limit ends what never comes.
  Task<> until_heard(std::size_t count) {
    while (heard.size() < count) co_await sleep_for(std::chrono::milliseconds(5));
  }

  std::vector<SignedAnnouncement> publishes;
  std::vector<Announcement> heard;
  Client client;
};

}  // namespace lafs::test
