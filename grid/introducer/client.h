// SPDX-License-Identifier: Apache-2.0
#pragma once

// Follows one introducer: connects, publishes what we announce, hears what others announce, and
// comes back after every loss (spec/storage 8.5). I/O thread only; close() before destruction.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grid/base/task.h"
#include "grid/introducer/announcement.h"
#include "grid/introducer/connection.h"

namespace lafs::grid::introducer {

inline constexpr std::string_view service_interface =
    "RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com";
inline constexpr std::string_view subscriber_interface =
    "RIIntroducerSubscriberClient_v2.tahoe.allmydata.com";
inline constexpr std::string_view protocol_version =
    "http://allmydata.org/tahoe/protocols/introducer/v2";

// What Status::why says before the first attempt has ended.
inline constexpr std::string_view not_tried_yet = "not tried yet";

class Client {
 public:
  struct Options {
    std::string petname;  // for messages
    storage::Furl furl;
    std::string nickname, version;  // of ours, for the introducer's display
    // What to publish, asked at each connection. Signed by us, or passed on from others.
    std::function<std::vector<SignedAnnouncement>()> published;
    // Each announcement whose signature is good. May be called again with one that is known.
    std::function<void(Announcement, SignedAnnouncement)> heard;
    Duration call_limit = std::chrono::seconds(30);
  };
  struct Status {
    std::string petname;
    std::string tub_id;
    bool connected = false;
    std::string why;          // why not, when it is not
    std::size_t heard = 0;    // announcements with good signatures
    std::size_t refused = 0;  // with bad ones
    std::size_t told = 0;     // announcements that it took from us
  };

  Client(asio::any_io_executor executor, const storage::Identity& identity, Options options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void start();
  // Publishes again to a connected introducer: what `published` says has changed.
  void publish_again();
  Status status() const;
  // Until subscribed, or until a first attempt failed, or `deadline`.
  Task<> first_attempt(TimePoint deadline);
  Task<> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The signed triples of an announcement argument; malformed ones are left out.
std::optional<SignedAnnouncement> announcement_of(const Value& tuple);
Value value_of(const SignedAnnouncement& announcement);

}  // namespace lafs::grid::introducer
