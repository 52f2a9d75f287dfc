// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer_node.h"

#include "grid/base/version.h"
#include "grid/node_dir/files.h"

namespace lafs::grid {

Result<std::unique_ptr<IntroducerNode>> IntroducerNode::start(asio::any_io_executor executor,
                                                              const NodeDir& node,
                                                              std::optional<Places> at) {
  auto out = std::make_unique<IntroducerNode>();
  Places places;
  if (at) {
    places = std::move(*at);
  } else {
    TRY(configured, configured_places(node));
    places = std::move(configured);
  }
  TRY_DO(make_directory(node.path() / "private", 0700));
  TRY(identity, storage::Identity::load_or_create(node.private_path("node.pem")));
  out->identity_ = std::move(identity);
  TRY(furl, own_furl(node.private_path("introducer.furl"), out->identity_, places.location));
  out->furl_ = furl.text();

  introducer::Service::Options options;
  options.swissnum = furl.name;
  options.furl = out->furl_;
  options.version = std::string(program_version);
  options.state_file = node.private_path("announcements.yaml");
  TRY(peers, out->peers_of(node));
  options.peers = std::move(peers);
  out->service_ =
      std::make_unique<introducer::Service>(executor, out->identity_, std::move(options));
  TRY_DO(out->service_->load());
  for (const auto& on : places.listen) TRY_DO(out->service_->listen(on.host, on.port));
  out->service_->start();
  return out;
}

Result<std::vector<introducer::Client::Options>> IntroducerNode::peers_of(
    const NodeDir& node) const {
  std::vector<introducer::Client::Options> out;
  TRY(peers, node.introducers());
  if (!peers.empty()) TRY_DO(node.may_connect());
  for (const auto& peer : peers) {
    TRY(at, storage::Furl::parse(peer.furl));
    if (at.tub_id == identity_.node_id()) continue;  // ourselves
    introducer::Client::Options one;
    one.petname = peer.petname;
    one.furl = std::move(at);
    one.nickname = node.nickname();
    one.version = std::string(program_version);
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::function<void()>> IntroducerNode::reload(const NodeDir& node) {
  TRY(peers, peers_of(node));
  auto shared = std::make_shared<std::vector<introducer::Client::Options>>(std::move(peers));
  return [this, shared] { service_->set_peers(std::move(*shared)); };
}

Task<> IntroducerNode::close() { return service_->close(); }

}  // namespace lafs::grid
