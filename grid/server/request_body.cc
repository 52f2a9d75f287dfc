// SPDX-License-Identifier: Apache-2.0
#include "grid/server/request_body.h"

#include <boost/beast/http/error.hpp>

namespace lafs::grid::storage {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

// What is read at once of heads and of bodies in chunks.
constexpr std::size_t head_piece = 4 << 10;
constexpr std::size_t body_piece = 64 << 10;
constexpr std::size_t progress_step = 64 << 10;

std::unexpected<Error> not_http(const beast::error_code& error) {
  const bool long_head =
      error == http::error::header_limit || error == http::error::buffer_overflow;
  return fail(long_head ? Errc::too_large : Errc::protocol, "not HTTP: " + error.message());
}

Task<Result<>> read_more(Peer& peer, beast::flat_buffer& buffer, std::size_t amount) {
  const auto room = buffer.prepare(amount);
  const MutableBytes to(static_cast<std::uint8_t*>(room.data()), room.size());
  CO_TRY(n, co_await peer.read_some(to));
  buffer.commit(n);
  co_return Result<>{};
}

}  // namespace

Task<Result<>> read_request_head(Peer& peer, beast::flat_buffer& buffer, RequestParser& parser) {
  // The parser limits what it is given at once only: of a head in pieces it would take any amount.
  std::size_t taken = 0;
  while (true) {
    if (buffer.size() > 0) {
      beast::error_code error;
      const auto used = parser.put(buffer.data(), error);
      buffer.consume(used);
      taken += used;
      if (error && error != http::error::need_more) co_return not_http(error);
      if (taken + (parser.is_header_done() ? 0 : buffer.size()) > largest_head) {
        co_return fail(Errc::too_large, "not HTTP: endless head");
      }
      if (parser.is_header_done()) co_return Result<>{};
    }
    CO_TRY_DO(co_await read_more(peer, buffer, head_piece));
  }
}

RequestBody::RequestBody(Peer& peer, beast::flat_buffer& buffer, RequestParser& parser,
                         Duration window)
    : peer_(peer), buffer_(buffer), parser_(parser), window_(window) {
  if (parser.is_done()) {
    left_ = 0;
  } else if (parser.content_length()) {
    left_ = *parser.content_length();
  }
  parser_.eager(true);
  peer_.set_deadline(window_);
}

void RequestBody::moved(std::size_t n) {
  taken_ += n;
  since_renewal_ += n;
  if (since_renewal_ < progress_step) return;
  since_renewal_ = 0;
  peer_.set_deadline(window_);
}

Task<Result<std::size_t>> RequestBody::read(MutableBytes to) {
  if (!left_) co_return co_await read_parsed(to);
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), *left_));
  co_return co_await read_counted(to.first(most));
}

// The parser is done with its part.
Task<Result<std::size_t>> RequestBody::read_counted(MutableBytes to) {
  std::size_t filled = std::min(to.size(), buffer_.size());
  if (filled > 0) std::memcpy(to.data(), buffer_.data().data(), filled);
  buffer_.consume(filled);
  moved(filled);
  while (filled < to.size()) {
    CO_TRY(n, co_await peer_.read_some(to.subspan(filled)));
    filled += n;
    moved(n);
  }
  *left_ -= filled;
  co_return filled;
}

Task<Result<std::size_t>> RequestBody::read_parsed(MutableBytes to) {
  auto& body = parser_.get().body();
  body.data = to.data();
  body.size = to.size();
  while (body.size > 0 && !parser_.is_done()) {
    const auto before = body.size;
    beast::error_code error;
    const auto used = parser_.put(buffer_.data(), error);
    buffer_.consume(used);
    moved(before - body.size);
    if (error == http::error::need_buffer) break;
    if (error && error != http::error::need_more) co_return not_http(error);
    if (error == http::error::need_more || (used == 0 && !parser_.is_done())) {
      // A line of a chunk that is longer than this is none.
      if (buffer_.size() > body_piece)
        co_return fail(Errc::protocol, "not HTTP: endless chunk head");
      CO_TRY_DO(co_await read_more(peer_, buffer_, body_piece));
    }
  }
  co_return to.size() - body.size;
}

Task<Result<Bytes>> RequestBody::read_all(std::uint64_t limit) {
  Bytes out;
  while (!done()) {
    const auto have = out.size();
    // One byte more than allowed shows that there is too much.
    const auto more = std::min<std::uint64_t>({std::max<std::uint64_t>(have, progress_step),
                                               left_.value_or(UINT64_MAX), limit - have + 1});
    out.resize(have + static_cast<std::size_t>(more));
    CO_TRY(n, co_await read(MutableBytes(out).subspan(have)));
    out.resize(have + n);
    if (out.size() > limit) co_return fail(Errc::too_large, "the body is too long");
  }
  co_return out;
}

Task<Result<>> RequestBody::drain(std::uint64_t limit) {
  Bytes nowhere(16 << 10);
  std::uint64_t gone = 0;
  while (!done()) {
    CO_TRY(n, co_await read(nowhere));
    gone += n;
    if (gone > limit) co_return fail(Errc::too_large, "the body is too long");
  }
  co_return Result<>{};
}

}  // namespace lafs::grid::storage
