// SPDX-License-Identifier: Apache-2.0
#pragma once

// A DiskServer behind an HttpService on a free loopback port, and what is needed to speak to it or
// to a scripted peer in its place.

#include "grid/server/http_service.h"
#include "grid/storage/remote_server.h"
#include "tests/grid/server/disk_fixture.h"

namespace lafs::test {

using grid::storage::HttpService;
using grid::storage::Identity;
using grid::storage::Nurl;
using grid::storage::RemoteServer;

inline const Identity& test_identity() {
  static const Identity identity = Identity::generate();
  return identity;
}

inline Nurl loopback_nurl(std::uint16_t port, std::string swissnum = "swissnum") {
  Nurl nurl;
  nurl.pin = test_identity().pin();
  nurl.host = "127.0.0.1";
  nurl.port = port;
  nurl.swissnum = std::move(swissnum);
  return nurl;
}

struct HttpFixture : DiskFixture {
  HttpService::Options service_options;
  RemoteServer::Options client_options;

  HttpFixture() {
    service_options.swissnum = "swissnum";
    client_options.name = "server one";
  }

  // Runs `body(client, service, port)`.
  template <class Body>
  void with_service(Body body) {
    lafs::run(serve(*this, body));
  }
  template <class Body>
  static Task<> serve(HttpFixture& fixture, Body& body) {
    auto executor = co_await asio::this_coro::executor;
    auto disk = fixture.open(executor);
    {
      HttpService service(executor, *disk, test_identity(), fixture.service_options);
      auto port = co_await service.listen("127.0.0.1", 0);
      if (!port) throw std::runtime_error(port.error().message());
      RemoteServer client(executor, loopback_nurl(*port), fixture.client_options);
      co_await body(client, service, *port);
      co_await client.close();
      co_await service.close();
    }
    co_await disk->close();
  }
};

}  // namespace lafs::test
