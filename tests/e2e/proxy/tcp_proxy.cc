// SPDX-License-Identifier: Apache-2.0

// tcp_proxy PORT: a TcpProxy in front of a port of loopback, for tests in Python. Prints its own
// port; answers each command on standard input with one line; ends with its input.

#include "frontends/cli/bench/tcp_proxy.h"

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  const int port = argc == 2 ? std::atoi(argv[1]) : 0;
  if (port <= 0 || port > 65535) {
    std::cerr << "usage: tcp_proxy PORT\n";
    return 2;
  }
  lafs::cli::TcpProxy proxy(static_cast<std::uint16_t>(port));
  std::cout << proxy.port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << proxy.command(line) << std::endl;
  }
}
