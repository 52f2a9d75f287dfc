// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/ueb.h"

#include "grid/base/netstring.h"

namespace lafs::grid {

namespace {

std::string params(std::uint64_t data_size, std::uint64_t k, std::uint64_t n) {
  return std::to_string(data_size) + "-" + std::to_string(k) + "-" + std::to_string(n);
}

bool is_key(std::string_view key) {
  return !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  });
}

Result<std::uint64_t> number(std::string_view key, ByteView value) {
  auto parsed = parse_decimal(as_text(value));
  if (!parsed) return fail(Errc::corrupt, "UEB: " + std::string(key) + " is not a number");
  return *parsed;
}

Result<Hash32> hash(std::string_view key, ByteView value) {
  if (value.size() != 32) {
    return fail(Errc::corrupt, "UEB: " + std::string(key) + " is not 32 bytes long");
  }
  Hash32 out;
  std::copy(value.begin(), value.end(), out.begin());
  return out;
}

}  // namespace

Ueb Ueb::of(const Geometry& g, const Hash32& flat, const Hash32& ciphertext_root,
            const Hash32& share_root) {
  Ueb ueb;
  ueb.segment_size = g.segment_size;
  ueb.ciphertext_root = ciphertext_root;
  ueb.share_root = share_root;
  ueb.ciphertext_hash = to_bytes(flat);
  ueb.codec_name = "crs";
  ueb.codec_params = params(g.segment_size, g.k, g.n);
  ueb.tail_codec_params = params(g.tail_padded, g.k, g.n);
  ueb.num_segments = g.num_segments;
  ueb.size = g.size;
  ueb.k = g.k;
  ueb.n = g.n;
  return ueb;
}

Result<Ueb> Ueb::parse(ByteView bytes) {
  Ueb ueb;
  bool has_segment_size = false, has_ciphertext_root = false, has_share_root = false;
  while (!bytes.empty()) {
    const auto text = as_text(bytes);
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || !is_key(text.substr(0, colon))) {
      return fail(Errc::corrupt, "UEB: an entry without a key");
    }
    const auto key = text.substr(0, colon);
    bytes = bytes.subspan(colon + 1);
    auto taken = take_netstring(bytes);
    if (!taken) return annotate(std::move(taken).error(), "UEB: " + std::string(key));
    const ByteView value = *taken;
    if (key == "segment_size") {
      TRY(parsed, number(key, value));
      ueb.segment_size = parsed;
      has_segment_size = true;
    } else if (key == "crypttext_root_hash") {
      TRY(parsed, hash(key, value));
      ueb.ciphertext_root = parsed;
      has_ciphertext_root = true;
    } else if (key == "share_root_hash") {
      TRY(parsed, hash(key, value));
      ueb.share_root = parsed;
      has_share_root = true;
    } else if (key == "crypttext_hash") {
      ueb.ciphertext_hash = to_bytes(value);
    } else if (key == "codec_name") {
      ueb.codec_name = to_text(value);
    } else if (key == "codec_params") {
      ueb.codec_params = to_text(value);
    } else if (key == "tail_codec_params") {
      ueb.tail_codec_params = to_text(value);
    } else if (key == "num_segments") {
      TRY(parsed, number(key, value));
      ueb.num_segments = parsed;
    } else if (key == "size") {
      TRY(parsed, number(key, value));
      ueb.size = parsed;
    } else if (key == "needed_shares") {
      TRY(parsed, number(key, value));
      ueb.k = parsed;
    } else if (key == "total_shares") {
      TRY(parsed, number(key, value));
      ueb.n = parsed;
    }
  }
  if (!has_segment_size) return fail(Errc::corrupt, "UEB without segment_size");
  if (!has_ciphertext_root) return fail(Errc::corrupt, "UEB without crypttext_root_hash");
  if (!has_share_root) return fail(Errc::corrupt, "UEB without share_root_hash");
  return ueb;
}

Bytes Ueb::serialize() const {
  Bytes out;
  auto put = [&](std::string_view key, ByteView value) {
    append(out, as_bytes(key));
    out.push_back(':');
    append_netstring(out, value);
  };
  auto put_number = [&](std::string_view key, std::optional<std::uint64_t> value) {
    if (value) put(key, as_bytes(std::to_string(*value)));
  };
  if (codec_name) put("codec_name", as_bytes(*codec_name));
  if (codec_params) put("codec_params", as_bytes(*codec_params));
  if (ciphertext_hash) put("crypttext_hash", *ciphertext_hash);
  put("crypttext_root_hash", ciphertext_root);
  put_number("needed_shares", k);
  put_number("num_segments", num_segments);
  put_number("segment_size", segment_size);
  put("share_root_hash", share_root);
  put_number("size", size);
  if (tail_codec_params) put("tail_codec_params", as_bytes(*tail_codec_params));
  put_number("total_shares", n);
  return out;
}

Result<> Ueb::check(const Geometry& g) const {
  auto contradiction = [](std::string_view what) {
    return fail(Errc::corrupt, "UEB: " + std::string(what) + " contradicts the cap");
  };
  if (segment_size != g.segment_size) return contradiction("segment_size");
  if (ciphertext_hash && ciphertext_hash->size() != 32) return contradiction("crypttext_hash");
  if (codec_name && *codec_name != "crs") return contradiction("codec_name");
  if (codec_params && *codec_params != params(g.segment_size, g.k, g.n)) {
    return contradiction("codec_params");
  }
  if (tail_codec_params && *tail_codec_params != params(g.tail_padded, g.k, g.n)) {
    return contradiction("tail_codec_params");
  }
  if (num_segments.value_or(g.num_segments) != g.num_segments) return contradiction("num_segments");
  if (size.value_or(g.size) != g.size) return contradiction("size");
  if (k.value_or(g.k) != g.k) return contradiction("needed_shares");
  if (n.value_or(g.n) != g.n) return contradiction("total_shares");
  return {};
}

Hash32 ueb_hash(ByteView serialized) {
  return tagged_hash("allmydata_uri_extension_v1", serialized);
}

std::uint64_t ueb_length(const Geometry& geometry) {
  return Ueb::of(geometry, {}, {}, {}).serialize().size();
}

}  // namespace lafs::grid
