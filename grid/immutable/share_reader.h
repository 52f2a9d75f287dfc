// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads blocks of one share on one server, each proven by hashes up to the cap before it is given
// out (spec/immutable 9.5, 9.6). It asks for more than it needs at first, so that a small file
// takes one round trip. Several blocks may be read at once.
//
// Errc::corrupt means that the server's bytes are wrong; the context is the advisory's text.

#include <memory>

#include "grid/base/offload.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/file_hashes.h"
#include "grid/immutable/span_store.h"
#include "grid/storage/server.h"

namespace lafs::grid {

struct ReadLimits {
  // For one answer, besides a second for every 16 KiB asked for.
  Duration deadline = std::chrono::seconds(10);
};

class ShareReader {
 public:
  // `hashes` and `pool` outlive this; no task runs when it goes away.
  ShareReader(asio::any_io_executor executor, std::shared_ptr<storage::Server> server,
              ShareNo number, FileHashes& hashes, Pool& pool, ReadLimits limits);

  // Makes sure of the share's layout, the UEB, and the root of this share's block tree. `near`: a
  // byte of the file that is wanted next; the block with it comes along.
  Task<Result<>> prepare(std::uint64_t near);
  // Something small, to see whether the server is there: what will be wanted of the share first.
  Task<Result<>> rouse();
  // One block, checked. The segment exists.
  Task<Result<Bytes>> block(SegmentNo segment);

 private:
  Task<Result<>> prepare_alone(std::uint64_t near);
  std::vector<ByteRange> first_guess(std::uint64_t near) const;
  Result<> take_header();
  Result<std::uint64_t> take_ueb_length();
  Result<> take_share_hashes();
  // Reads what of the ranges is not in the store yet; pieces close to each other in one go.
  Task<Result<>> fetch(std::vector<ByteRange> ranges);
  Task<> fetch_one(ByteRange range, Result<>& out);
  // The tree nodes to read, in stretches.
  std::vector<ByteRange> node_ranges(std::uint64_t tree,
                                     const std::vector<std::uint64_t>& nodes) const;
  Result<> take_nodes(std::uint64_t tree_offset, PartialMerkleTree& tree, SegmentNo segment);
  void forget_nodes();
  std::unexpected<Error> corrupt(ByteRange where, std::string_view reason) const;
  std::unexpected<Error> unavailable(ByteRange where) const;

  std::shared_ptr<storage::Server> server_;
  ShareNo number_;
  FileHashes& hashes_;
  Pool& pool_;
  ReadLimits limits_;
  SpanStore store_;
  std::optional<ShareLayout> layout_;
  std::optional<PartialMerkleTree> block_tree_;
  bool preparing_ = false;
  Signal prepared_;
  std::optional<Error> broken_;  // the share as a whole is of no use
  std::uint64_t blocks_read_ = 0;
  std::size_t blocks_under_way_ = 0;
};

}  // namespace lafs::grid
