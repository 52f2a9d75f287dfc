// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP bodies over TLS, either way, under a deadline that only progress renews. For the .cc files
// of RemoteServer and HttpService: it includes Beast.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "grid/base/bytes.h"
#include "grid/base/task.h"

namespace lafs::grid::storage {

namespace beast = boost::beast;
namespace http = boost::beast::http;

using TlsStream = asio::ssl::stream<beast::tcp_stream>;

inline constexpr auto quietly = asio::as_tuple(asio::use_awaitable);
inline constexpr std::size_t largest_head = 16 << 10;
// A body must move this much within one progress window.
inline constexpr std::size_t progress_step = 64 << 10;
// Beast reads as much at once as its buffer has room for.
inline constexpr std::size_t read_ahead = 64 << 10;

inline beast::tcp_stream& tcp_of(TlsStream& stream) { return stream.next_layer(); }

inline Error network_error(const beast::error_code& error) {
  if (error == beast::error::timeout) return {Errc::timed_out, "no progress"};
  if (error == asio::error::operation_aborted) return {Errc::cancelled, {}};
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return {Errc::protocol, "not HTTP: " + error.message()};
  }
  return {Errc::unreachable, error.message()};
}

// The body behind a head that `parser` has read. What came in too much stays in `buffer`.
template <bool is_request>
class BodyReader {
 public:
  using Parser = http::parser<is_request, http::buffer_body>;

  BodyReader(TlsStream& stream, beast::flat_buffer& buffer, Parser& parser, Duration window)
      : stream_(stream), buffer_(buffer), parser_(parser), window_(window) {
    if (parser.is_done()) {
      left_ = 0;
    } else if (parser.content_length()) {
      left_ = *parser.content_length();
    }
    tcp_of(stream_).expires_after(window_);
  }

  bool done() const { return left_ ? *left_ == 0 : parser_.is_done(); }
  // Nothing when the length was not announced.
  std::optional<std::uint64_t> left() const { return left_; }

  // Fills `to`, or as much of it as there is before the end of the body.
  Task<Result<std::size_t>> read(MutableBytes to) {
    if (left_)
      return read_counted(
          to.first(static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), *left_))));
    return read_parsed(to);
  }

 private:
  // Straight into the caller's memory: the parser is done with its part.
  Task<Result<std::size_t>> read_counted(MutableBytes to) {
    std::size_t filled = std::min(to.size(), buffer_.size());
    std::memcpy(to.data(), buffer_.data().data(), filled);
    buffer_.consume(filled);
    while (filled < to.size()) {
      const auto room = asio::buffer(to.data() + filled, to.size() - filled);
      auto [error, n] = co_await stream_.async_read_some(room, quietly);
      if (error) co_return std::unexpected(network_error(error));
      filled += n;
      moved(n);
    }
    *left_ -= filled;
    co_return filled;
  }

  Task<Result<std::size_t>> read_parsed(MutableBytes to) {
    auto& body = parser_.get().body();
    body.data = to.data();
    body.size = to.size();
    while (body.size > 0 && !parser_.is_done()) {
      const auto before = body.size;
      auto [error, n] = co_await http::async_read_some(stream_, buffer_, parser_, quietly);
      if (error && error != http::error::need_buffer) {
        co_return std::unexpected(network_error(error));
      }
      moved(before - body.size);
    }
    co_return to.size() - body.size;
  }

  void moved(std::size_t n) {
    since_renewal_ += n;
    if (since_renewal_ < progress_step) return;
    since_renewal_ = 0;
    tcp_of(stream_).expires_after(window_);
  }

  TlsStream& stream_;
  beast::flat_buffer& buffer_;
  Parser& parser_;
  Duration window_;
  std::optional<std::uint64_t> left_;
  std::size_t since_renewal_ = 0;
};

// The whole body, which may have at most `limit` bytes; memory grows as bytes arrive.
// Errc::too_large.
template <bool is_request>
Task<Result<Bytes>> read_body(BodyReader<is_request>& reader, std::uint64_t limit) {
  Bytes out;
  while (!reader.done()) {
    const auto have = out.size();
    // One byte more than allowed shows that there is too much.
    const auto more =
        std::min<std::uint64_t>({std::max<std::uint64_t>(have, progress_step),
                                 reader.left().value_or(UINT64_MAX), limit - have + 1});
    out.resize(have + static_cast<std::size_t>(more));
    CO_TRY(n, co_await reader.read(MutableBytes(out).subspan(have)));
    out.resize(have + n);
    if (out.size() > limit) co_return fail(Errc::too_large, "the body is too long");
    if (n == 0 && !reader.done()) co_return fail(Errc::unreachable, "the body was cut short");
  }
  co_return out;
}

// A head and its body, the body in steps that each have to be done within `window`.
inline Task<Result<>> send(TlsStream& stream, std::string head, ByteView body, Duration window) {
  auto part = body.first(std::min(body.size(), progress_step));
  std::array<asio::const_buffer, 2> first{asio::buffer(head),
                                          asio::buffer(part.data(), part.size())};
  while (true) {
    tcp_of(stream).expires_after(window);
    auto [error, n] = co_await asio::async_write(stream, first, quietly);
    if (error) co_return std::unexpected(network_error(error));
    body = body.subspan(part.size());
    if (body.empty()) co_return Result<>{};
    part = body.first(std::min(body.size(), progress_step));
    first = {asio::const_buffer{}, asio::buffer(part.data(), part.size())};
  }
}

}  // namespace lafs::grid::storage
