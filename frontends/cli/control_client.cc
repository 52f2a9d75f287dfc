// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/control_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "grid/base/log.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using Socket = asio::local::stream_protocol::socket;
using namespace std::chrono_literals;

constexpr std::size_t longest_line = 4 << 20;  // a status with many items
constexpr auto patience_beside_a_daemon = 60s;
// One command touches one thing: asking again would only take time.
bool may_ask_to_flush = true;
constexpr auto quiet = asio::as_tuple(asio::use_awaitable);

// A path of a socket is short, a node directory's may be long.
Result<Socket> connect(asio::any_io_executor executor, const std::filesystem::path& node,
                       const std::string& name) {
  const int directory = ::open(node.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return fail(Errc::not_found, node.string());
  const auto path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  Socket socket(executor);
  boost::system::error_code failed;
  socket.connect(asio::local::stream_protocol::endpoint(path), failed);
  ::close(directory);
  if (failed) return fail(Errc::not_found, "no daemon runs on " + node.string());
  return socket;
}

Error error_of(const json::object& answer) {
  const auto text = [&](const char* key) {
    const auto* value = answer.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  const auto name = text("code");
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto code = static_cast<Errc>(i);
    if (name_of(code) == name) return Error{code, text("message")};
  }
  return Error{Errc::internal, text("message")};
}

Task<Result<std::string>> converse(Socket& socket, std::string request,
                                   std::function<void(const std::string&)> progress) {
  request += '\n';
  const auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(request), quiet);
  if (unsent) co_return fail(Errc::unreachable, "the daemon does not listen");
  std::string buffer;
  for (;;) {
    const auto [failed, size] = co_await asio::async_read_until(
        socket, asio::dynamic_buffer(buffer, longest_line), '\n', quiet);
    if (failed) co_return fail(Errc::unreachable, "the daemon ended without an answer");
    std::string line = buffer.substr(0, size - 1);
    buffer.erase(0, size);
    boost::system::error_code bad;
    const auto value = json::parse(line, bad);
    if (bad || !value.is_object()) co_return fail(Errc::protocol, "the daemon's answer");
    const auto& object = value.get_object();
    if (object.contains("progress")) {
      if (progress) progress(line);
      continue;
    }
    const auto* ok = object.if_contains("ok");
    if (ok && ok->is_bool() && ok->get_bool()) co_return line;
    co_return std::unexpected(error_of(object));
  }
}

}  // namespace

namespace {

Task<Result<std::string>> ask(std::filesystem::path node, std::string name, std::string request,
                              Duration limit, std::function<void(const std::string&)> progress) {
  auto socket = connect(co_await asio::this_coro::executor, node, name);
  if (!socket) co_return std::unexpected(socket.error());
  co_return co_await within(limit, "the daemon's answer",
                            converse(*socket, std::move(request), std::move(progress)));
}

}  // namespace

Task<Result<std::string>> ask_daemon(std::filesystem::path node, std::string request,
                                     Duration limit,
                                     std::function<void(const std::string&)> progress) {
  return ask(std::move(node), control_socket_name, std::move(request), limit, std::move(progress));
}

Task<Result<std::string>> ask_storage_server(std::filesystem::path node, std::string request,
                                             Duration limit,
                                             std::function<void(const std::string&)> progress) {
  return ask(std::move(node), storage_socket_name, std::move(request), limit, std::move(progress));
}

void never_flush_daemon() { may_ask_to_flush = false; }

Task<> flush_daemon(std::filesystem::path node) {
  if (!std::exchange(may_ask_to_flush, false)) co_return;
  json::object request{
      {"do", "flush"},
      {"timeout", std::chrono::duration<double>(patience_beside_a_daemon).count()}};
  const auto limit = patience_beside_a_daemon + 5s;
  const auto done = co_await ask_daemon(std::move(node), json::serialize(request), limit);
  if (done || done.error().code == Errc::not_found || done.error().code == Errc::unsupported)
    co_return;
  log::warning("what the running daemon still has to store may be missing here: " +
               done.error().message());
}

}  // namespace lafs::cli
