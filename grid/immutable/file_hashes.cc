// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/file_hashes.h"

#include "grid/base/bytes.h"
#include "grid/immutable/ueb.h"

namespace lafs::grid {

Result<> check_usable(const ChkVerifyCap& cap) {
  if (cap.k < 1 || cap.k > cap.n || cap.n > 256) {
    return fail(Errc::bad_cap,
                "a cap for " + std::to_string(cap.k) + " of " + std::to_string(cap.n) + " shares");
  }
  if (cap.size == 0) return fail(Errc::bad_cap, "a cap for an encoded file of no bytes");
  // More than 2^62 bytes cannot be addressed by a share.
  if (cap.size > std::uint64_t{1} << 62) return fail(Errc::bad_cap, "a cap for 2^62 bytes");
  return {};
}

const Geometry& FileHashes::guess() const {
  if (!guess_) {
    const auto segment = round_up(std::min<std::uint64_t>(1 << 20, cap_.size), cap_.k);
    guess_ = Geometry::make(cap_.size, cap_.k, cap_.n, segment).value();
  }
  return *guess_;
}

Result<> FileHashes::learn_ueb(ByteView bytes) {
  if (known()) return {};
  if (ueb_hash(bytes) != cap_.ueb_hash) {
    return fail(Errc::corrupt, "the UEB does not have the hash of the cap");
  }
  TRY(ueb, Ueb::parse(bytes));
  if (ueb.segment_size > max_readable_segment) {
    return fail(Errc::too_large, "segments of " + std::to_string(ueb.segment_size) + " bytes");
  }
  auto geometry = Geometry::make(cap_.size, cap_.k, cap_.n, ueb.segment_size);
  if (!geometry) return annotate({Errc::corrupt, geometry.error().context}, "UEB");
  share_tree_.emplace(cap_.n);
  TRY_DO(share_tree_->set_root(ueb.share_root));
  ciphertext_tree_.emplace(geometry->num_segments);
  TRY_DO(ciphertext_tree_->set_root(ueb.ciphertext_root));
  ciphertext_root_ = ueb.ciphertext_root;
  geometry_ = *geometry;
  ueb_ = to_bytes(bytes);
  return {};
}

void FileHashes::trim() {
  constexpr std::uint64_t many = 1 << 14;  // segments; a few megabytes of nodes
  if (++segments_checked_ < many || geometry_->num_segments < many) return;
  segments_checked_ = 0;
  ciphertext_tree_.emplace(geometry_->num_segments);
  (void)ciphertext_tree_->set_root(ciphertext_root_);
}

}  // namespace lafs::grid
