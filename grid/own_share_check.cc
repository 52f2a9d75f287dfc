// SPDX-License-Identifier: Apache-2.0
#include "grid/own_share_check.h"

#include "grid/caps/keys.h"
#include "grid/crypto/merkle.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/share_verifier.h"
#include "grid/immutable/ueb.h"
#include "grid/mutable/mutable_share.h"

namespace lafs::grid {

namespace {

constexpr std::uint64_t piece = 1 << 20;
constexpr std::uint64_t longest_sdmf = 64 << 20;  // of which the data is one block
constexpr std::uint64_t longest_start = 1 << 20;  // keys, signature and a chain of hashes
constexpr std::uint64_t longest_tree = 64 << 20;  // of a million segments
constexpr auto mutable_kind = storage::ShareKind::mutable_;

Task<Result<>> check_immutable(storage::Server& server, StorageIndex si, ShareNo number,
                               Pool& pool) {
  const auto kind = storage::ShareKind::immutable;
  CO_TRY(head, co_await server.read(kind, si, number, 0, max_header_length));
  CO_TRY(layout, parse_header(head));
  const auto width = layout.field_width();
  CO_TRY(raw, co_await server.read(kind, si, number, layout.uri_extension, width));
  if (raw.size() != width) co_return fail(Errc::corrupt, "the share ends before its UEB");
  const auto length =
      width == 4 ? get_be<std::uint32_t>(raw.data()) : get_be<std::uint64_t>(raw.data());
  if (length > max_ueb_length) co_return fail(Errc::corrupt, "a UEB of impossible length");
  CO_TRY(serialized, co_await server.read(kind, si, number, layout.uri_extension + width, length));
  if (serialized.size() != length) co_return fail(Errc::corrupt, "the share ends within its UEB");
  CO_TRY(ueb, Ueb::parse(serialized));
  if (!ueb.k || !ueb.n || !ueb.size) {
    co_return fail(Errc::unsupported, "the UEB does not say how the file was encoded");
  }
  const ChkVerifyCap cap{si, ueb_hash(serialized), *ueb.k, *ueb.n, *ueb.size};
  CheckOptions options;
  options.verify = true;
  co_return co_await verify_share(server, cap, number, pool, options);
}

// All of a mutable share that is signed: `start` reaches up to its data.
Result<> check_signature(const ShareHeader& header, ByteView start) {
  const auto& o = header.offsets();
  const auto key = slice(start, o.public_key, o.public_key_end - o.public_key);
  if (!key) return fail(Errc::corrupt, "the share ends within its public key");
  SignatureCheck signature(fingerprint_of(*key));
  return signature.check(header, start);
}

Task<Result<>> check_sdmf(storage::Server& server, StorageIndex si, ShareNo number, Pool& pool,
                          const ShareHeader& header) {
  const auto end = header.offsets().end;
  if (end > longest_sdmf) {
    co_return fail(Errc::too_large, "an SDMF share of more than 64 MiB is not looked at");
  }
  CO_TRY(share, co_await server.read(mutable_kind, si, number, 0, end));
  auto judge = [&]() -> Result<> {
    TRY_DO(check_signature(header, share));
    return check_body(header, share, number);
  };
  co_return co_await offload(pool, std::ref(judge));
}

// Piece by piece: a share may be as long as it likes.
Task<Result<>> check_mdmf(storage::Server& server, StorageIndex si, ShareNo number, Pool& pool,
                          const ShareHeader& header) {
  const auto& o = header.offsets();
  if (o.share_data > longest_start || header.tree_size() > longest_tree) {
    co_return fail(Errc::too_large, "a share of such a size is not looked at");
  }
  CO_TRY(start, co_await server.read(mutable_kind, si, number, 0, o.share_data));
  CO_TRY(tree,
         co_await server.read(mutable_kind, si, number, o.block_hash_tree, header.tree_size()));
  std::vector<Hash32> leaves;
  auto judge = [&]() -> Result<> {
    TRY_DO(check_signature(header, start));
    const auto range = leaves_range(header);
    const auto raw = slice(tree, range.begin - o.block_hash_tree, range.size());
    if (!raw) return fail(Errc::corrupt, "the share ends within its block hash tree");
    TRY(checked, check_leaves(header, start, *raw, number));
    Bytes expected;
    for (const auto& node : merkle_tree(checked)) append(expected, node);
    if (tree != expected) return fail(Errc::corrupt, "the block hash tree contradicts itself");
    leaves = std::move(checked);
    return {};
  };
  CO_TRY_DO(co_await offload(pool, std::ref(judge)));
  const auto segments = header.geometry().segments();
  const auto step = 1 + piece / (header.geometry().segment_size + 1);
  for (std::uint64_t s = 0; s < segments; s += step) {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "checking a share");
    const SegmentRange some{s, std::min(step, segments - s)};
    const auto range = blocks_range(header, some);
    if (range.size() > longest_sdmf) {
      co_return fail(Errc::too_large, "a share with segments of more than 64 MiB is not looked at");
    }
    CO_TRY(blocks, co_await server.read(mutable_kind, si, number, range.begin, range.size()));
    auto compare = [&] { return check_blocks(header, blocks, some, leaves); };
    CO_TRY_DO(co_await offload(pool, std::ref(compare)));
  }
  co_return Result<>{};
}

Task<Result<>> check_mutable(storage::Server& server, StorageIndex si, ShareNo number, Pool& pool) {
  CO_TRY(head, co_await server.read(mutable_kind, si, number, 0, ShareHeader::mdmf_size));
  CO_TRY(header, ShareHeader::parse(head));
  if (header.format() == MutableFormat::mdmf) {
    co_return co_await check_mdmf(server, si, number, pool, header);
  }
  co_return co_await check_sdmf(server, si, number, pool, header);
}

}  // namespace

Task<Result<>> check_own_share(storage::Server& server, storage::ShareKind kind, StorageIndex si,
                               ShareNo number, Pool& pool) {
  if (kind == storage::ShareKind::mutable_) {
    co_return co_await check_mutable(server, si, number, pool);
  }
  co_return co_await check_immutable(server, si, number, pool);
}

}  // namespace lafs::grid
