// SPDX-License-Identifier: Apache-2.0
#pragma once

// An immutable file from one end to the other, for who wants all of it once: nothing is kept, and
// the line is full.

#include "grid/client.h"
#include "grid/immutable/chk_stream.h"

namespace lafs::grid {

// Errors as Client::immutable_file(). `client` outlives the stream; close() it.
Task<Result<std::unique_ptr<ChkStream>>> open_stream(Client& client, ChkCap cap,
                                                     std::uint64_t offset, std::uint64_t length);

}  // namespace lafs::grid
