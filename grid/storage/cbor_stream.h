// SPDX-License-Identifier: Apache-2.0
#pragma once

// CBOR as the storage protocol uses it (spec/storage 1). The writer emits exactly Tahoe's style:
// definite lengths, shortest integers, sets as tag 258. The reader is a pull parser over libcbor's
// streaming decoder: it takes one item at a time from bytes that are already here, so a claimed
// length allocates nothing and nesting is only as deep as the caller's own code.

#include <string>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid::storage {

class CborWriter {
 public:
  void unsigned_int(std::uint64_t value);
  void bytes(ByteView value);
  void text(std::string_view value);
  void array(std::uint64_t count);  // then that many items
  void map(std::uint64_t count);    // then that many pairs
  void set(std::uint64_t count);    // then that many items
  void boolean(bool value);
  void null();
  void reserve(std::size_t n) { out_.reserve(n); }
  Bytes take() { return std::move(out_); }

 private:
  void head(std::uint8_t major, std::uint64_t value);
  Bytes out_;
};

// Every method fails with Errc::protocol when the next item is something else.
class CborReader {
 public:
  explicit CborReader(ByteView input) : rest_(input) {}

  Result<std::uint64_t> unsigned_int();
  Result<bool> boolean();
  // Nothing for null.
  Result<std::optional<std::uint64_t>> unsigned_int_or_null();
  // `limit`: longest accepted, in bytes.
  Result<Bytes> bytes(std::size_t limit);
  Result<std::string> text(std::size_t limit);
  // A map key: text or bytes.
  Result<std::string> key();

  // Containers of definite or indefinite length. `each()` reads exactly one element (for maps: key
  // and value) and returns Result<>. More than `limit` elements are refused.
  template <class Each>
  Result<> array(std::size_t limit, Each each) {
    return elements(Container::array, limit, each);
  }
  template <class Each>
  Result<> map(std::size_t limit, Each each) {
    return elements(Container::map, limit, each);
  }
  // An array, with or without the set tag before it.
  template <class Each>
  Result<> set(std::size_t limit, Each each) {
    return elements(Container::set, limit, each);
  }
  // Nothing may follow the message.
  Result<> end() const;

 private:
  enum class Kind : std::uint8_t {
    unsigned_int,
    bytes,
    text,
    array,
    map,
    bytes_parts,
    text_parts,
    array_open,
    map_open,
    tag,
    boolean,
    null,
    stop,
    other,
  };
  struct Item {
    Kind kind = Kind::other;
    std::uint64_t number = 0;  // the value, count or tag
    ByteView data;             // of a string
  };
  enum class Container : std::uint8_t { array, map, set };
  friend struct CborCallbacks;

  Result<Item> next();
  Result<Bytes> string(Kind whole, Kind parts, std::size_t limit);
  // The count, or nothing when the container ends with a stop.
  Result<std::optional<std::uint64_t>> open(Container container);
  // Whether the next item is a stop, which is then taken.
  bool take_stop();

  template <class Each>
  Result<> elements(Container container, std::size_t limit, Each& each) {
    TRY(count, open(container));
    if (count && *count > limit) return fail(Errc::protocol, "CBOR: too many elements");
    for (std::uint64_t i = 0; !count || i < *count; ++i) {
      if (!count && take_stop()) break;
      if (i == limit) return fail(Errc::protocol, "CBOR: too many elements");
      TRY_DO(each());
    }
    return {};
  }

  ByteView rest_;
};

}  // namespace lafs::grid::storage
