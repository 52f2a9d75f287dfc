// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/control_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "grid/base/log.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using Protocol = asio::local::stream_protocol;
using namespace std::chrono_literals;

constexpr std::size_t longest_request = 64 * 1024;
constexpr std::size_t most_callers = 32;
constexpr auto time_to_ask = 30s;
constexpr auto time_to_listen = 30s;
constexpr auto quiet = asio::as_tuple(asio::use_awaitable);

bool is_ours(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

std::string refusal(const Error& error) {
  return json::serialize(json::object{
      {"ok", false}, {"code", std::string(name_of(error.code))}, {"message", error.context}});
}

}  // namespace

struct ControlServer::Socket {
  explicit Socket(Protocol::socket s) : stream(std::move(s)) {}
  Protocol::socket stream;
};

struct ControlServer::Acceptor {
  explicit Acceptor(asio::any_io_executor executor) : acceptor(std::move(executor)) {}
  Protocol::acceptor acceptor;
};

ControlServer::ControlServer(asio::any_io_executor executor, std::filesystem::path node,
                             std::string name)
    : executor_(executor),
      node_(std::move(node)),
      name_(std::move(name)),
      acceptor_(std::make_unique<Acceptor>(executor)),
      accepting_(executor),
      conversations_(executor) {}

ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::listen(asio::any_io_executor executor,
                                                             std::filesystem::path node,
                                                             std::string name) {
  std::unique_ptr<ControlServer> out(new ControlServer(executor, std::move(node), std::move(name)));
  const int directory = ::open(out->node_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return grid::system_error(errno, out->node_, "open");
  // A path of a socket is short, a node directory's may be long.
  const Protocol::endpoint where("/proc/self/fd/" + std::to_string(directory) + "/" + out->name_);
  boost::system::error_code failed;
  Protocol::socket probe(executor);
  probe.connect(where, failed);
  const bool alive = !failed;
  auto& acceptor = out->acceptor_->acceptor;
  if (!alive) {
    ::unlinkat(directory, out->name_.c_str(), 0);
    acceptor.open(Protocol(), failed);
    // Created without rights for others: there is no moment in which they could connect.
    const auto before = ::umask(0177);
    if (!failed) acceptor.bind(where, failed);
    ::umask(before);
    if (!failed) acceptor.listen(most_callers, failed);
  }
  ::close(directory);
  if (alive) return fail(Errc::busy, "another process serves " + out->node_.string());
  if (failed)
    return fail(Errc::io, "control socket of " + out->node_.string() + ": " + failed.message());
  if (out->name_ == control_socket_name) never_flush_daemon();
  out->accepting_.spawn(out->accept());
  return out;
}

Task<> ControlServer::accept() {
  for (;;) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    auto [failed, stream] = co_await acceptor_->acceptor.async_accept(quiet);
    if (failed == asio::error::operation_aborted) co_return;
    if (failed) {  // out of descriptors, for example
      co_await sleep_for(100ms);
      continue;
    }
    if (conversations_.running() >= most_callers || !is_ours(stream.native_handle())) continue;
    conversations_.spawn(serve(std::make_shared<Socket>(std::move(stream))));
  }
}

namespace {

Task<Result<std::string>> read_request(Protocol::socket& stream) {
  std::string buffer;
  const auto [failed, size] = co_await asio::async_read_until(
      stream, asio::dynamic_buffer(buffer, longest_request), '\n', quiet);
  if (failed) co_return fail(Errc::bad_argument, "a request is one line of at most 64 KiB");
  buffer.resize(size - 1);
  co_return buffer;
}

Task<> write_line(Protocol::socket& stream, std::string line) {
  line += '\n';
  auto write = [](Protocol::socket& to, std::string& text) -> Task<Result<>> {
    const auto [failed, size] = co_await asio::async_write(to, asio::buffer(text), quiet);
    if (failed) co_return fail(Errc::closed);
    co_return Result<>{};
  };
  const auto done = co_await within(time_to_listen, "control", write(stream, line));
  (void)done;  // whoever does not listen gets nothing
}

// Nothing more is to come from a caller, so that anything readable is the end.
Task<> cancel_at_hangup(Protocol::socket& stream, TaskGroup& work) {
  const auto [failed] = co_await stream.async_wait(Protocol::socket::wait_read, quiet);
  if (!failed) work.cancel();
}

}  // namespace

Task<> ControlServer::serve(std::shared_ptr<Socket> socket) {
  auto request = co_await within(time_to_ask, "control request", read_request(socket->stream));
  if (!request) {
    co_await write_line(socket->stream, refusal(request.error()));
    co_return;
  }
  TaskGroup work(executor_), watch(executor_);
  work.spawn(answer(socket, std::move(*request)));
  watch.spawn(cancel_at_hangup(socket->stream, work));
  co_await work.join();
  watch.cancel();
  co_await watch.join();
}

Task<> ControlServer::answer(std::shared_ptr<Socket> socket, std::string line) {
  boost::system::error_code bad;
  const auto value = json::parse(line, bad);
  Result<std::string> result = fail(Errc::bad_argument, "a request is a JSON object with \"do\"");
  if (!bad && value.is_object()) {
    const auto* verb = value.get_object().if_contains("do");
    const auto name = verb && verb->is_string() ? std::string(verb->get_string()) : std::string();
    const auto it = handlers_.find(name);
    if (it == handlers_.end()) {
      result = fail(Errc::unsupported, "this daemon does not know \"" + name + "\"");
    } else {
      const Progress progress = [socket](std::string text) {
        return write_line(socket->stream, "{\"progress\":" + text + "}");
      };
      result = co_await it->second(line, progress);
    }
  }
  std::string out;
  if (result) {
    auto object = json::parse(*result, bad);
    json::object answer{{"ok", true}};
    if (!bad && object.is_object())
      for (auto& member : object.get_object()) answer[member.key()] = std::move(member.value());
    out = json::serialize(answer);
  } else {
    out = refusal(result.error());
  }
  co_await write_line(socket->stream, std::move(out));
}

Task<> ControlServer::close() {
  boost::system::error_code ignored;
  acceptor_->acceptor.close(ignored);
  accepting_.cancel();
  co_await accepting_.join();
  conversations_.cancel();
  co_await conversations_.join();
  std::error_code gone;
  std::filesystem::remove(node_ / name_, gone);
}

}  // namespace lafs::cli
