// SPDX-License-Identifier: Apache-2.0
#pragma once

// An introducer as a node directory describes it (spec/storage 12.3): a Tahoe introducer's
// directory is served as it is, under the same address.
//
//   private/node.pem         certificate and key     private/introducer.furl  what people are given
//   tahoe.cfg                [node] tub.port and tub.location
//   private/introducers.yaml other introducers that this one exchanges announcements with
//   private/announcements.yaml   what was heard, so that a restart forgets nothing

#include <functional>
#include <memory>

#include "grid/introducer/service.h"
#include "grid/storage_node.h"

namespace lafs::grid {

class IntroducerNode {
 public:
  // `at`: listen there, and announce it, instead of what tahoe.cfg says. Errc::bad_config,
  // busy.
  static Result<std::unique_ptr<IntroducerNode>> start(asio::any_io_executor executor,
                                                       const NodeDir& node,
                                                       std::optional<Places> at);

  // Other peers, once what is returned is called. Errc::bad_config.
  Result<std::function<void()>> reload(const NodeDir& node);

  const std::string& furl() const { return furl_; }
  introducer::Service& service() { return *service_; }
  Task<> close();

 private:
  Result<std::vector<introducer::Client::Options>> peers_of(const NodeDir& node) const;

  storage::Identity identity_;
  std::string furl_;
  std::unique_ptr<introducer::Service> service_;
};

}  // namespace lafs::grid
