// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/geometry.h"

#include <bit>

#include "grid/base/bytes.h"

namespace lafs::grid {

namespace {

// Sums and products that remember whether one of them left 64 bits.
class Checked {
 public:
  std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    std::uint64_t out;
    if (__builtin_add_overflow(a, b, &out)) bad_ = true;
    return out;
  }
  std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
    std::uint64_t out;
    if (__builtin_mul_overflow(a, b, &out)) bad_ = true;
    return out;
  }
  bool bad() const { return bad_; }

 private:
  bool bad_ = false;
};

}  // namespace

Result<> Encoding::check() const {
  if (k < 1 || k > n || n > 256) {
    return fail(Errc::bad_argument, "shares.needed " + std::to_string(k) + " and shares.total " +
                                        std::to_string(n) + ": need 1 <= needed <= total <= 256");
  }
  if (happy > n) {
    return fail(Errc::bad_argument, "shares.happy " + std::to_string(happy) +
                                        " is more than shares.total " + std::to_string(n));
  }
  if (max_segment_size < 1 || max_segment_size > max_readable_segment - 256) {
    return fail(Errc::bad_argument, "segment size " + std::to_string(max_segment_size));
  }
  return {};
}

Result<Geometry> Geometry::make(std::uint64_t size, std::uint64_t k, std::uint64_t n,
                                std::uint64_t segment_size) {
  if (size == 0) return fail(Errc::bad_argument, "an encoded file is never empty");
  if (k < 1 || k > n || n > 256) {
    return fail(Errc::bad_argument,
                std::to_string(k) + " of " + std::to_string(n) + " shares: no such code");
  }
  if (segment_size == 0 || segment_size % k != 0) {
    return fail(Errc::bad_argument, "segment size " + std::to_string(segment_size) +
                                        " is not a multiple of " + std::to_string(k));
  }
  Geometry g;
  g.size = size;
  g.k = k;
  g.n = n;
  g.segment_size = segment_size;
  g.num_segments = ceil_div(size, segment_size);
  g.tail_size = size % segment_size == 0 ? segment_size : size % segment_size;
  g.tail_block_size = ceil_div(g.tail_size, k);
  g.tail_padded = g.tail_block_size * k;  // at most segment_size
  g.block_size = segment_size / k;
  g.share_data_size = ceil_div(size, k);
  // A tree of 2^58 leaves is the last one whose bytes can be counted.
  if (g.num_segments > std::uint64_t{1} << 57) {
    return fail(Errc::too_large, std::to_string(g.num_segments) + " segments");
  }
  return g;
}

Result<Geometry> Geometry::for_upload(std::uint64_t size, const Encoding& encoding) {
  TRY_DO(encoding.check());
  const auto segment = round_up(std::min(encoding.max_segment_size, size), encoding.k);
  return make(size, encoding.k, encoding.n, segment);
}

std::uint64_t Geometry::tree_bytes() const { return (2 * std::bit_ceil(num_segments) - 1) * 32; }

std::uint64_t Geometry::share_hash_count() const {
  return static_cast<std::uint64_t>(std::countr_zero(std::bit_ceil(n))) + 1;
}

Result<ShareLayout> ShareLayout::make(const Geometry& g, std::optional<LayoutVersion> force) {
  ShareLayout layout;
  Checked sum;
  auto place = [&](LayoutVersion version) {
    layout.version = version;
    layout.block_size = g.block_size;
    layout.share_data_size = g.share_data_size;
    const auto tree = g.tree_bytes();
    layout.data = layout.header_length();
    layout.plaintext_tree = sum.add(layout.data, g.share_data_size);
    layout.ciphertext_tree = sum.add(layout.plaintext_tree, tree);
    layout.block_tree = sum.add(layout.ciphertext_tree, tree);
    layout.share_hashes = sum.add(layout.block_tree, tree);
    layout.uri_extension =
        sum.add(layout.share_hashes, sum.multiply(g.share_hash_count(), share_hash_entry_size));
    // Room for any UEB behind the last offset.
    (void)sum.add(layout.uri_extension, std::uint64_t{1} << 20);
  };
  place(force.value_or(LayoutVersion::v1));
  constexpr auto limit = std::uint64_t{1} << 32;
  const bool small = !sum.bad() && g.block_size < limit && g.share_data_size < limit &&
                     layout.uri_extension < limit;
  if (!small && layout.version == LayoutVersion::v1) {
    if (force) return fail(Errc::too_large, "layout version 1 ends at 4 GiB");
    place(LayoutVersion::v2);
  }
  if (sum.bad()) {
    return fail(Errc::too_large, "a file of " + std::to_string(g.size) + " bytes");
  }
  return layout;
}

}  // namespace lafs::grid
