// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_reader.h"

#include <boost/asio/this_coro.hpp>

#include "grid/immutable/on_pool.h"
#include "grid/immutable/ueb.h"

namespace lafs::grid {

namespace {

// A share that is no larger comes whole, in the first read.
constexpr std::uint64_t whole_share = 64 << 10;
// Everything behind the blocks that is no larger comes at once: trees for about 1000 segments.
constexpr std::uint64_t whole_trailer = 160 << 10;
constexpr std::uint64_t ueb_guess = 2048;
// Reading this much more costs less than another request.
constexpr std::uint64_t gap = 4 << 10;
// Hashes are read in stretches of this many bytes: a reader usually wants the next segment too.
constexpr std::uint64_t stretch = 4 << 10;
// After so many blocks what is known of the hash trees is dropped, and read again where needed.
constexpr std::uint64_t many_blocks = 1 << 14;

std::vector<ByteRange> only(ByteRange range) { return {range}; }

// One more for as long as it lives.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::size_t& count_;
};

}  // namespace

ShareReader::ShareReader(asio::any_io_executor executor, std::shared_ptr<storage::Server> server,
                         ShareNo number, FileHashes& hashes, Pool& pool, ReadLimits limits)
    : server_(std::move(server)),
      number_(number),
      hashes_(hashes),
      pool_(pool),
      limits_(limits),
      prepared_(std::move(executor)) {}

std::unexpected<Error> ShareReader::corrupt(ByteRange where, std::string_view reason) const {
  return fail(Errc::corrupt, "corruption in share[" + std::to_string(where.begin) + "-" +
                                 std::to_string(where.end) + "): " + std::string(reason));
}

std::unexpected<Error> ShareReader::unavailable(ByteRange where) const {
  return corrupt(where, "the share ends before these bytes");
}

// --- reading

Task<> ShareReader::fetch_one(ByteRange range, Result<>& out) {
  const auto limit = limits_.deadline + std::chrono::seconds(range.size() >> 14);
  auto answer =
      co_await within(limit, "reading share " + std::to_string(number_.value),
                      server_->read(storage::ShareKind::immutable, hashes_.cap().storage_index,
                                    number_, range.begin, range.size()));
  if (!answer) {
    out = std::unexpected(std::move(answer).error());
    co_return;
  }
  store_.add(range, std::move(*answer));
}

Task<Result<>> ShareReader::fetch(std::vector<ByteRange> ranges) {
  std::vector<ByteRange> missing;
  for (auto& range : ranges) {
    for (auto part : store_.missing(range)) missing.push_back(part);
  }
  missing = joined(std::move(missing), gap);
  if (missing.empty()) co_return Result<>{};
  if (missing.size() == 1) {
    Result<> only;
    co_await fetch_one(missing.front(), only);
    co_return only;
  }
  std::vector<Result<>> results(missing.size());
  TaskGroup group(co_await asio::this_coro::executor);
  for (std::size_t i = 0; i < missing.size(); ++i) {
    group.spawn(fetch_one(missing[i], results[i]));
  }
  co_await group.join();
  for (auto& result : results) {
    if (!result) co_return std::move(result);
  }
  co_return Result<>{};
}

// --- getting to know the share

std::vector<ByteRange> ShareReader::first_guess(std::uint64_t near) const {
  std::vector<ByteRange> out{{0, max_header_length}};
  const auto& g = hashes_.known() ? hashes_.geometry() : hashes_.guess();
  const auto layout = ShareLayout::make(g);
  if (!layout) return out;
  const auto end = layout->share_length(ueb_guess);
  if (end <= whole_share) return {{0, end}};
  if (near < g.size) {
    const auto segment = g.segment_at(near);
    const auto at = layout->data + segment.value * g.block_size;
    out.push_back({at, at + g.block_length(segment)});
  }
  const bool all = end - layout->ciphertext_tree <= whole_trailer;
  out.push_back({all ? layout->ciphertext_tree : layout->share_hashes, end});
  return out;
}

Task<Result<>> ShareReader::prepare(std::uint64_t near) {
  while (!block_tree_) {
    if (broken_) co_return std::unexpected(*broken_);
    if (preparing_) {
      // Somebody is at it; when they are cancelled, it is our turn.
      co_await prepared_.wait();
      const bool stop = co_await stop_requested();
      if (stop) co_return fail(Errc::cancelled, "reading a share");
      continue;
    }
    preparing_ = true;
    auto done = co_await prepare_alone(near);
    preparing_ = false;
    if (!done && done.error().code == Errc::corrupt) broken_ = done.error();
    prepared_.notify();
    if (!done) co_return done;
  }
  co_return Result<>{};
}

Task<Result<>> ShareReader::rouse() {
  if (!block_tree_) co_return co_await prepare(UINT64_MAX);
  CO_TRY_DO(co_await within(
      limits_.deadline, "asking for a share",
      server_->read(storage::ShareKind::immutable, hashes_.cap().storage_index, number_, 0, 4)));
  co_return Result<>{};
}

Task<Result<>> ShareReader::prepare_alone(std::uint64_t near) {
  CO_TRY_DO(co_await fetch(first_guess(near)));
  CO_TRY_DO(take_header());
  if (!hashes_.known()) {
    const auto at = layout_->uri_extension;
    const ByteRange guess{at, at + ueb_guess};
    CO_TRY_DO(co_await fetch(only(guess)));
    CO_TRY(length, take_ueb_length());
    const ByteRange ueb{at + layout_->field_width(), at + layout_->field_width() + length};
    CO_TRY_DO(co_await fetch(only(ueb)));
    const auto bytes = store_.get(ueb);
    if (!bytes) co_return unavailable(ueb);
    auto learnt = hashes_.learn_ueb(*bytes);
    if (!learnt && learnt.error().code == Errc::corrupt) {
      co_return corrupt({at, ueb.end}, learnt.error().context);
    }
    if (!learnt) co_return learnt;
  }
  if (auto fits = check_layout(*layout_, hashes_.geometry()); !fits) {
    co_return corrupt({0, layout_->header_length()}, fits.error().context);
  }
  if (!hashes_.share_tree().needed(number_.value, true).empty()) {
    const ByteRange section{layout_->share_hashes, layout_->uri_extension};
    CO_TRY_DO(co_await fetch(only(section)));
    CO_TRY_DO(take_share_hashes());
  }
  const auto root = hashes_.share_tree().leaf(number_.value);
  if (!root) co_return fail(Errc::internal, "a share tree without the leaf that it needs");
  PartialMerkleTree tree(hashes_.geometry().num_segments);
  CO_TRY_DO(tree.set_root(*root));
  block_tree_ = std::move(tree);
  co_return Result<>{};
}

Result<> ShareReader::take_header() {
  if (layout_) return {};
  auto parsed = parse_header(store_.prefix({0, max_header_length}));
  if (!parsed) return corrupt({0, max_header_length}, parsed.error().context);
  layout_ = *parsed;
  return {};
}

Result<std::uint64_t> ShareReader::take_ueb_length() {
  const auto width = layout_->field_width();
  const ByteRange field{layout_->uri_extension, layout_->uri_extension + width};
  const auto bytes = store_.get(field);
  if (!bytes) return unavailable(field);
  const std::uint64_t length =
      width == 4 ? get_be<std::uint32_t>(bytes->data()) : get_be<std::uint64_t>(bytes->data());
  if (length == 0 || length > max_ueb_length) {
    return corrupt(field, "a UEB of " + std::to_string(length) + " bytes");
  }
  return length;
}

Result<> ShareReader::take_share_hashes() {
  const ByteRange section{layout_->share_hashes, layout_->uri_extension};
  const auto bytes = store_.get(section);
  if (!bytes) return unavailable(section);
  auto chain = parse_share_hashes(*bytes, hashes_.cap().n);
  if (!chain) return corrupt(section, chain.error().context);
  auto& tree = hashes_.share_tree();
  if (auto added = tree.add(*chain); !added) return corrupt(section, added.error().context);
  if (!tree.needed(number_.value, true).empty()) {
    return corrupt(section, "no chain of hashes for share " + std::to_string(number_.value));
  }
  return {};
}

// --- blocks

std::vector<ByteRange> ShareReader::node_ranges(std::uint64_t tree,
                                                const std::vector<std::uint64_t>& nodes) const {
  const auto end = hashes_.geometry().tree_bytes();
  std::vector<ByteRange> out;
  for (auto node : nodes) {
    const auto at = node * 32;
    const ByteRange exact{tree + at, tree + at + 32};
    if (store_.missing(exact).empty()) continue;
    const auto from = at / stretch * stretch;
    out.push_back({tree + from, tree + std::min(from + stretch, end)});
  }
  return out;
}

Result<> ShareReader::take_nodes(std::uint64_t tree_offset, PartialMerkleTree& tree,
                                 SegmentNo segment) {
  // Asked again: while we read, another segment may have brought some of them.
  const auto needed = tree.needed(segment.value, true);
  if (needed.empty()) return {};
  std::map<std::uint64_t, Hash32> nodes;
  ByteRange where{~std::uint64_t{0}, 0};
  for (auto node : needed) {
    const ByteRange at{tree_offset + node * 32, tree_offset + node * 32 + 32};
    where = {std::min(where.begin, at.begin), std::max(where.end, at.end)};
    const auto bytes = store_.get(at);
    if (!bytes) return unavailable(at);
    std::copy_n(bytes->begin(), 32, nodes[node].begin());
  }
  if (auto added = tree.add(nodes); !added) return corrupt(where, added.error().context);
  if (!tree.leaf(segment.value)) return corrupt(where, "no hash for this segment");
  return {};
}

void ShareReader::forget_nodes() {
  blocks_read_ = 0;
  store_ = SpanStore();
  const auto root = block_tree_->node(0);
  PartialMerkleTree fresh(hashes_.geometry().num_segments);
  if (root && fresh.set_root(*root)) block_tree_ = std::move(fresh);
}

Task<Result<Bytes>> ShareReader::block(SegmentNo segment) {
  const Counted here(blocks_under_way_);
  // The size of a segment is known, or the first reader learns it; the guess only places a read.
  const auto& sizes = hashes_.known() ? hashes_.geometry() : hashes_.guess();
  CO_TRY_DO(co_await prepare(sizes.segment_offset(segment)));
  const auto& g = hashes_.geometry();
  if (segment.value >= g.num_segments) co_return fail(Errc::bad_argument, "no such segment");

  const auto at = layout_->data + segment.value * g.block_size;
  const ByteRange range{at, at + g.block_length(segment)};
  auto wanted = node_ranges(layout_->block_tree, block_tree_->needed(segment.value, true));
  for (auto& r : node_ranges(layout_->ciphertext_tree,
                             hashes_.ciphertext_tree().needed(segment.value, true))) {
    wanted.push_back(r);
  }
  wanted.push_back(range);
  CO_TRY_DO(co_await fetch(std::move(wanted)));
  CO_TRY_DO(take_nodes(layout_->block_tree, *block_tree_, segment));
  CO_TRY_DO(take_nodes(layout_->ciphertext_tree, hashes_.ciphertext_tree(), segment));
  auto data = store_.take(range);
  if (!data) co_return unavailable(range);
  const auto expected = *block_tree_->leaf(segment.value);

  Hash32 actual;
  co_await on_pool(pool_, data->size(), [&] {
    thread_local TaggedHasher hasher("allmydata_encoded_subshare_v1");
    actual = hasher.hash(*data);
  });
  // Nobody else is between fetching nodes and using them.
  if (++blocks_read_ >= many_blocks && blocks_under_way_ == 1) forget_nodes();
  if (actual != expected) co_return corrupt(range, "block hash mismatch");
  co_return std::move(*data);
}

}  // namespace lafs::grid
