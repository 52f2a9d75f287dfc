// SPDX-License-Identifier: Apache-2.0
#pragma once

// The body of one request, with or without an announced length, straight into the caller's memory
// where the length is known. For .cc files: it includes Beast.

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "grid/server/peer.h"

namespace lafs::grid::storage {

inline constexpr std::size_t largest_head = 16 << 10;

using RequestParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

// Fills `buffer` and `parser` until the head of a request is there. Errc: protocol, too_large, and
// those of Peer; closed when not a byte of a request came.
Task<Result<>> read_request_head(Peer& peer, boost::beast::flat_buffer& buffer,
                                 RequestParser& parser);

class RequestBody {
 public:
  // The head is there. A body has to move on by 64 KiB within each `window`.
  RequestBody(Peer& peer, boost::beast::flat_buffer& buffer, RequestParser& parser,
              Duration window);

  bool done() const { return left_ ? *left_ == 0 : parser_.is_done(); }
  // Nothing when the length was not announced.
  std::optional<std::uint64_t> left() const { return left_; }
  // Bytes taken so far.
  std::uint64_t taken() const { return taken_; }

  // Fills `to`, or as much of it as there is before the end of the body.
  Task<Result<std::size_t>> read(MutableBytes to);
  // All of it; memory grows as bytes arrive. Errc::too_large.
  Task<Result<Bytes>> read_all(std::uint64_t limit);
  // Throws it away, at most `limit` bytes. Errc::too_large.
  Task<Result<>> drain(std::uint64_t limit);

 private:
  Task<Result<std::size_t>> read_counted(MutableBytes to);
  Task<Result<std::size_t>> read_parsed(MutableBytes to);
  void moved(std::size_t n);

  Peer& peer_;
  boost::beast::flat_buffer& buffer_;
  RequestParser& parser_;
  Duration window_;
  std::optional<std::uint64_t> left_;
  std::uint64_t taken_ = 0;
  std::size_t since_renewal_ = 0;
};

}  // namespace lafs::grid::storage
