// SPDX-License-Identifier: Apache-2.0
#pragma once

// Between POSIX attributes and what a directory entry says about them.

#include "cache/cached_client.h"
#include "frontends/fs/types.h"

namespace lafs::fs {

timespec wall_clock_now();

// The kind of an entry: what its metadata says as far as its cap allows it.
Kind kind_of(const cache::Child& child);
// What metadata says for a kind; directories say it by their cap.
cache::PosixFacts::Kind stored_kind(Kind kind);

Kind shown_kind(cache::PosixFacts::Kind kind);

// The facts of an entry, with the time of the link where our own times are missing (another client
// made the entry, or rewrote it).
cache::PosixFacts facts_of(const cache::Child& child);

// What belongs neither to Tahoe nor to us: other programs' notes about an entry, which stay.
cache::Metadata others_metadata(const cache::Child& child);

// Bytes in the object behind a cap; 0 when the cap does not say.
std::uint64_t size_of(const cache::Cap& cap);

}  // namespace lafs::fs
