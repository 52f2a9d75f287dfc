// SPDX-License-Identifier: Apache-2.0
#include "grid/own_share_check.h"

#include "grid/caps/keys.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/share_verifier.h"
#include "grid/immutable/ueb.h"
#include "grid/mutable/mutable_share.h"

namespace lafs::grid {

namespace {

constexpr std::uint64_t piece = 1 << 20;
constexpr std::uint64_t longest_mutable = 64 << 20;

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

Task<Result<>> check_mutable(storage::Server& server, StorageIndex si, ShareNo number, Pool& pool) {
  Bytes share;
  while (true) {
    CO_TRY(more,
           co_await server.read(storage::ShareKind::mutable_, si, number, share.size(), piece));
    append(share, more);
    if (more.size() < piece) break;
    if (share.size() >= longest_mutable) {
      co_return fail(Errc::too_large, "a mutable share of more than 64 MiB is not looked at");
    }
  }
  auto judge = [&share, number]() -> Result<> {
    TRY(header, ShareHeader::parse(share));
    const auto& o = header.offsets();
    const auto key = slice(share, o.public_key, o.public_key_end - o.public_key);
    if (!key) return fail(Errc::corrupt, "the share ends within its public key");
    SignatureCheck signature(fingerprint_of(*key));
    TRY_DO(signature.check(header, share));
    return check_body(header, share, number);
  };
  co_return co_await offload(pool, std::ref(judge));
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
