// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/cbor_stream.h"

#include <cbor.h>

namespace lafs::grid::storage {

namespace {
constexpr std::uint64_t set_tag = 258;
// Strings of indefinite length may come in this many pieces.
constexpr int most_string_parts = 1024;
}  // namespace

void CborWriter::head(std::uint8_t major, std::uint64_t value) {
  const auto type = static_cast<std::uint8_t>(major << 5);
  if (value < 24) {
    out_.push_back(static_cast<std::uint8_t>(type | value));
  } else if (value <= 0xff) {
    out_.push_back(type | 24);
    append_be<std::uint8_t>(out_, static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    out_.push_back(type | 25);
    append_be<std::uint16_t>(out_, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffffffff) {
    out_.push_back(type | 26);
    append_be<std::uint32_t>(out_, static_cast<std::uint32_t>(value));
  } else {
    out_.push_back(type | 27);
    append_be<std::uint64_t>(out_, value);
  }
}

void CborWriter::unsigned_int(std::uint64_t value) { head(0, value); }
void CborWriter::bytes(ByteView value) {
  head(2, value.size());
  append(out_, value);
}
void CborWriter::text(std::string_view value) {
  head(3, value.size());
  append(out_, as_bytes(value));
}
void CborWriter::array(std::uint64_t count) { head(4, count); }
void CborWriter::map(std::uint64_t count) { head(5, count); }
void CborWriter::set(std::uint64_t count) {
  head(6, set_tag);
  head(4, count);
}
void CborWriter::boolean(bool value) { out_.push_back(value ? 0xf5 : 0xf4); }
void CborWriter::null() { out_.push_back(0xf6); }

// What libcbor calls back with; `context` is the Item to fill.
struct CborCallbacks {
  using Item = CborReader::Item;
  using Kind = CborReader::Kind;

  static void set(void* context, Kind kind, std::uint64_t number = 0, ByteView data = {}) {
    *static_cast<Item*>(context) = {kind, number, data};
  }

  static cbor_callbacks table() {
    cbor_callbacks c = cbor_empty_callbacks;
    c.uint8 = [](void* to, std::uint8_t v) { set(to, Kind::unsigned_int, v); };
    c.uint16 = [](void* to, std::uint16_t v) { set(to, Kind::unsigned_int, v); };
    c.uint32 = [](void* to, std::uint32_t v) { set(to, Kind::unsigned_int, v); };
    c.uint64 = [](void* to, std::uint64_t v) { set(to, Kind::unsigned_int, v); };
    c.byte_string = [](void* to, cbor_data p, std::size_t n) { set(to, Kind::bytes, n, {p, n}); };
    c.byte_string_start = [](void* to) { set(to, Kind::bytes_parts); };
    c.string = [](void* to, cbor_data p, std::size_t n) { set(to, Kind::text, n, {p, n}); };
    c.string_start = [](void* to) { set(to, Kind::text_parts); };
    c.array_start = [](void* to, std::size_t n) { set(to, Kind::array, n); };
    c.indef_array_start = [](void* to) { set(to, Kind::array_open); };
    c.map_start = [](void* to, std::size_t n) { set(to, Kind::map, n); };
    c.indef_map_start = [](void* to) { set(to, Kind::map_open); };
    c.tag = [](void* to, std::uint64_t v) { set(to, Kind::tag, v); };
    c.boolean = [](void* to, bool v) { set(to, Kind::boolean, v); };
    c.null = [](void* to) { set(to, Kind::null); };
    c.indef_break = [](void* to) { set(to, Kind::stop); };
    return c;
  }
};

Result<CborReader::Item> CborReader::next() {
  static const cbor_callbacks callbacks = CborCallbacks::table();
  Item item;  // stays `other` for what has no callback: negative numbers, floats, undefined
  const auto taken = cbor_stream_decode(rest_.data(), rest_.size(), &callbacks, &item);
  if (taken.status != CBOR_DECODER_FINISHED || taken.read == 0 || taken.read > rest_.size()) {
    return fail(Errc::protocol, "CBOR: cut short or malformed");
  }
  rest_ = rest_.subspan(taken.read);
  return item;
}

Result<std::uint64_t> CborReader::unsigned_int() {
  TRY(item, next());
  if (item.kind != Kind::unsigned_int) return fail(Errc::protocol, "CBOR: a number was expected");
  return item.number;
}

Result<bool> CborReader::boolean() {
  TRY(item, next());
  if (item.kind != Kind::boolean) return fail(Errc::protocol, "CBOR: true or false was expected");
  return item.number != 0;
}

Result<std::optional<std::uint64_t>> CborReader::unsigned_int_or_null() {
  TRY(item, next());
  if (item.kind == Kind::null) return std::optional<std::uint64_t>{};
  if (item.kind != Kind::unsigned_int) {
    return fail(Errc::protocol, "CBOR: a number or null was expected");
  }
  return std::optional<std::uint64_t>{item.number};
}

Result<Bytes> CborReader::string(Kind whole, Kind parts, std::size_t limit) {
  TRY(item, next());
  if (item.kind == whole) {
    if (item.data.size() > limit) return fail(Errc::protocol, "CBOR: string too long");
    return to_bytes(item.data);
  }
  if (item.kind != parts) return fail(Errc::protocol, "CBOR: a string was expected");
  Bytes out;
  for (int i = 0; i < most_string_parts; ++i) {
    TRY(part, next());
    if (part.kind == Kind::stop) return out;
    if (part.kind != whole) return fail(Errc::protocol, "CBOR: a piece of a string was expected");
    if (part.data.size() > limit - out.size()) return fail(Errc::protocol, "CBOR: string too long");
    append(out, part.data);
  }
  return fail(Errc::protocol, "CBOR: string in too many pieces");
}

Result<Bytes> CborReader::bytes(std::size_t limit) {
  return string(Kind::bytes, Kind::bytes_parts, limit);
}

Result<std::string> CborReader::text(std::size_t limit) {
  TRY(raw, string(Kind::text, Kind::text_parts, limit));
  return to_text(raw);
}

Result<std::string> CborReader::key() {
  TRY(item, next());
  if (item.kind != Kind::text && item.kind != Kind::bytes) {
    return fail(Errc::protocol, "CBOR: a key was expected");
  }
  if (item.data.size() > 64) return fail(Errc::protocol, "CBOR: unknown key");
  return to_text(item.data);
}

Result<std::optional<std::uint64_t>> CborReader::open(Container container) {
  TRY(item, next());
  if (container == Container::set && item.kind == Kind::tag) {
    if (item.number != set_tag) return fail(Errc::protocol, "CBOR: a set was expected");
    TRY(inner, next());
    item = inner;
  }
  const bool map = container == Container::map;
  if (item.kind == (map ? Kind::map : Kind::array)) return std::optional{item.number};
  if (item.kind == (map ? Kind::map_open : Kind::array_open)) return std::optional<std::uint64_t>{};
  return fail(Errc::protocol, map ? "CBOR: a map was expected" : "CBOR: a list was expected");
}

bool CborReader::take_stop() {
  if (rest_.empty() || rest_[0] != 0xff) return false;
  rest_ = rest_.subspan(1);
  return true;
}

Result<> CborReader::end() const {
  if (!rest_.empty()) return fail(Errc::protocol, "CBOR: bytes after the end of the message");
  return {};
}

}  // namespace lafs::grid::storage
