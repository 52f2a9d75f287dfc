// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bodies of requests and replies <-> CBOR (spec/storage 4). No I/O. Encoding gives the exact
// bytes Tahoe's peers send; decoding is lenient in form (key order, indefinite lengths, lists for
// sets) and strict in content: maps are closed, counts and sizes bounded. Every decode error is
// Errc::protocol.

#include "grid/storage/server.h"

namespace lafs::grid::storage {

// Limits of the protocol, which the encoders' callers respect.
inline constexpr std::size_t max_shares = 256;
inline constexpr std::size_t max_vectors = 30;  // tests of one share; reads of one request
inline constexpr std::size_t max_reason = 32765;

struct AllocateRequest {
  std::set<ShareNo> numbers;
  std::uint64_t share_size = 0;
  bool operator==(const AllocateRequest&) const = default;
};

Bytes encode_allocate(const std::set<ShareNo>& numbers, std::uint64_t share_size);
Result<AllocateRequest> decode_allocate(ByteView body);

Bytes encode_allocation(const Allocation& allocation);
Result<Allocation> decode_allocation(ByteView body);

Bytes encode_version(const ServerVersion& version);
Result<ServerVersion> decode_version(ByteView body);

Bytes encode_share_set(const std::set<ShareNo>& numbers);
Result<std::set<ShareNo>> decode_share_set(ByteView body);

// `complete` is not in the body: it is the status 201.
Bytes encode_required(const std::vector<ByteRange>& required);
Result<std::vector<ByteRange>> decode_required(ByteView body);

// `reason` is cut to what a request may hold, at a character's boundary.
Bytes encode_reason(std::string_view reason);
Result<std::string> decode_reason(ByteView body);

Bytes encode_read_test_write(const ReadTestWrite& request);
Result<ReadTestWrite> decode_read_test_write(ByteView body);

Bytes encode_reply(const ReadTestWriteReply& reply);
Result<ReadTestWriteReply> decode_reply(ByteView body);

}  // namespace lafs::grid::storage
