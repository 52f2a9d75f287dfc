// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/dial.h"

#include <boost/asio/connect.hpp>

namespace lafs::grid::introducer {

namespace {

using storage::quietly;
using Tcp = asio::ip::tcp;

Task<Result<storage::beast::tcp_stream>> open_tcp(asio::any_io_executor executor,
                                                  storage::Location location) {
  Tcp::resolver resolver(executor);
  auto [failed, found] =
      co_await resolver.async_resolve(location.host, std::to_string(location.port), quietly);
  if (failed) co_return fail(Errc::unreachable, location.host + ": " + failed.message());
  Tcp::socket socket(executor);
  auto [error, at] = co_await asio::async_connect(socket, found, quietly);
  if (error) {
    co_return fail(Errc::unreachable,
                   location.host + ":" + std::to_string(location.port) + ": " + error.message());
  }
  co_return storage::beast::tcp_stream(std::move(socket));
}

}  // namespace

Dial::Dial(asio::any_io_executor executor, const std::vector<std::string>& hints)
    : executor_(std::move(executor)),
      why_{Errc::unsupported, "the address has no host that we can reach: " +
                                  (hints.empty() ? "no hints" : hints.front())},
      tasks_(executor_) {
  for (const auto& hint : hints) {
    auto location = storage::parse_hint(hint);
    if (location && !location->tor) tasks_.spawn(reach(std::move(*location)));
  }
}

Task<> Dial::reach(storage::Location location) {
  auto host = location.host;
  auto tcp = co_await open_tcp(executor_, std::move(location));
  if (tcp) {
    ready_.push_back({std::move(host), std::move(*tcp)});
  } else {
    why_ = std::move(tcp.error());
  }
}

Task<Result<Dial::Reached>> Dial::next(TimePoint deadline) {
  while (ready_.empty() && tasks_.running() > 0) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
    if (Clock::now() >= deadline) co_return fail(Errc::timed_out, "connecting");
    co_await tasks_.wait_one(deadline);
  }
  if (ready_.empty()) co_return std::unexpected(why_);
  auto out = std::move(ready_.front());
  ready_.pop_front();
  co_return out;
}

Task<> Dial::close() {
  tasks_.cancel();
  co_await tasks_.join();
  ready_.clear();
}

}  // namespace lafs::grid::introducer
