// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bodies of requests and replies <-> JSON, for people who look at a server with curl: the same
// names as in CBOR, sets as arrays, bytes as base64 strings, share numbers as keys in decimal.
// Every decode error is Errc::protocol.

#include "grid/storage/messages.h"

namespace lafs::grid::storage {

// Longer requests have to come as CBOR.
inline constexpr std::size_t max_json = 8 << 20;

std::string version_json(const ServerVersion& version);
std::string allocation_json(const Allocation& allocation);
std::string share_set_json(const std::set<ShareNo>& numbers);
std::string required_json(const std::vector<ByteRange>& required);
std::string reply_json(const ReadTestWriteReply& reply);

Result<AllocateRequest> allocate_of_json(std::string_view text);
Result<std::string> reason_of_json(std::string_view text);
Result<ReadTestWrite> read_test_write_of_json(std::string_view text);

}  // namespace lafs::grid::storage
