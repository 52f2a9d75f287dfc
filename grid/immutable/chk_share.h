// SPDX-License-Identifier: Apache-2.0
#pragma once

// One share of an immutable file as bytes (spec/immutable 7): header, blocks, three trees of
// hashes, the share's chain in the share tree, and the UEB. What a server gives us is parsed with
// every offset checked before use (section 15).

#include <map>
#include <span>

#include "grid/base/bytes.h"
#include "grid/crypto/hash.h"
#include "grid/immutable/geometry.h"

namespace lafs::grid {

// The bytes of either header fit in this.
constexpr std::uint64_t max_header_length = 0x44;

Bytes serialize_header(const ShareLayout& layout);

// From the first bytes of a share, as many as were there (max_header_length suffice). Errc::corrupt
// unless the version is known, the sections the reader uses come in order (data, ciphertext tree,
// block tree, share hashes, UEB) and the share-hash section has whole entries, 1 to 512 of them.
Result<ShareLayout> parse_header(ByteView bytes);

// Whether the sections of a parsed header have room for what `geometry` says they hold.
Result<> check_layout(const ShareLayout& layout, const Geometry& geometry);

// The node indexes of a share's chain in the order in which Tahoe writes them (7.4): the siblings
// bottom up and the own leaf, as CPython iterates over a set of them.
std::vector<std::uint64_t> share_hash_order(std::uint64_t n, ShareNo number);

// The share-hash section, from the whole share tree (index 0 first).
Bytes serialize_share_hashes(std::span<const Hash32> share_tree, std::uint64_t n, ShareNo number);
// In any order. Errc::corrupt for a section that is no whole number of entries, or an index that is
// not in a tree over n leaves.
Result<std::map<std::uint64_t, Hash32>> parse_share_hashes(ByteView section, std::uint64_t n);

// A tree of hashes as it is stored: all nodes, index 0 first.
Bytes serialize_tree(std::span<const Hash32> nodes);

}  // namespace lafs::grid
