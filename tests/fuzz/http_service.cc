// SPDX-License-Identifier: Apache-2.0
#include "grid/server/http_service.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>

#include "tests/fake/fake_server.h"
#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::grid::storage;

// The whole service in front of a server in memory; the input is what one client sends.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& io = *new asio::io_context(1);
  static auto& server = *new lafs::grid::fake::FakeServer();
  static auto& service = *new HttpService(io.get_executor(), server, Identity::generate(),
                                          HttpService::Options{.swissnum = "swissnum"});
  int ends[2];
  FUZZ_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  // What does not fit into the socket's buffer is cut off, as by a client that dies.
  if (size > 0) (void)::send(ends[0], data, size, MSG_NOSIGNAL);
  ::shutdown(ends[0], SHUT_WR);
  service.serve_in_the_clear(ends[1]);
  std::string heard;
  char piece[4096];
  do {
    io.run_one_for(std::chrono::milliseconds(10));
    for (ssize_t n; (n = ::recv(ends[0], piece, sizeof piece, 0)) > 0;) {
      if (heard.size() < 4096) heard.append(piece, static_cast<std::size_t>(n));
    }
  } while (service.connections() > 0);
  ::close(ends[0]);
  FUZZ_REQUIRE(heard.empty() || heard.starts_with("HTTP/1.1 "));
  FUZZ_REQUIRE(heard.find("swissnum") == heard.npos);
  return 0;
}
