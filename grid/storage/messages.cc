// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/messages.h"

#include "grid/storage/cbor_stream.h"

namespace lafs::grid::storage {

namespace {

constexpr std::string_view protocol_v1 = "http://allmydata.org/tahoe/protocols/storage/v1";
// What cannot be bounded by the protocol is bounded by the message it came in.
constexpr std::size_t any = SIZE_MAX;

// Reads a closed map: `field(name)` reads the value of one key, or returns nothing for a key it
// does not know. Every key at most once; all of `required` must come.
template <class Field>
Result<> closed_map(CborReader& in, std::span<const std::string_view> required, Field field) {
  std::set<std::string> seen;
  TRY_DO(in.map(required.size(), [&]() -> Result<> {
    TRY(key, in.key());
    if (std::ranges::find(required, key) == required.end() || !seen.insert(key).second) {
      return fail(Errc::protocol, "CBOR: unknown or repeated key");
    }
    return field(key);
  }));
  if (seen.size() != required.size()) return fail(Errc::protocol, "CBOR: a key is missing");
  return {};
}

template <class T>
Result<> into(T& to, Result<T> value) {
  if (!value) return std::unexpected(std::move(value).error());
  to = std::move(*value);
  return {};
}

// `value`, once what was to fill it has gone well.
template <class T>
Result<T> filled(Result<> reading, T& value) {
  if (!reading) return std::unexpected(std::move(reading).error());
  return std::move(value);
}

void write_shares(CborWriter& out, const std::set<ShareNo>& numbers) {
  out.set(numbers.size());
  for (auto number : numbers) out.unsigned_int(number.value);
}

Result<std::set<ShareNo>> read_shares(CborReader& in) {
  std::set<ShareNo> numbers;
  return filled(in.set(max_shares,
                       [&]() -> Result<> {
                         TRY(number, in.unsigned_int());
                         numbers.insert(ShareNo{number});
                         return {};
                       }),
                numbers);
}

// The whole body is one thing.
template <class Read>
auto whole(ByteView body, Read read) -> decltype(read(std::declval<CborReader&>())) {
  CborReader in(body);
  auto value = read(in);
  if (value) {
    TRY_DO(in.end());
  }
  return value;
}

Result<TestVector> read_test(CborReader& in) {
  static constexpr std::string_view keys[] = {"offset", "size", "specimen"};
  TestVector test;
  return filled(closed_map(in, keys,
                           [&](std::string_view key) {
                             if (key == "offset") return into(test.offset, in.unsigned_int());
                             if (key == "size") return into(test.size, in.unsigned_int());
                             return into(test.specimen, in.bytes(any));
                           }),
                test);
}

Result<WriteVector> read_write(CborReader& in) {
  static constexpr std::string_view keys[] = {"offset", "data"};
  WriteVector write;
  return filled(closed_map(in, keys,
                           [&](std::string_view key) {
                             if (key == "offset") return into(write.offset, in.unsigned_int());
                             return into(write.data, in.bytes(any));
                           }),
                write);
}

Result<ReadVector> read_read(CborReader& in) {
  static constexpr std::string_view keys[] = {"offset", "size"};
  ReadVector read;
  return filled(closed_map(in, keys,
                           [&](std::string_view key) {
                             return into(key == "offset" ? read.offset : read.size,
                                         in.unsigned_int());
                           }),
                read);
}

// A list of things that one function reads.
template <class T>
Result<> read_list(CborReader& in, std::size_t limit, std::vector<T>& out,
                   Result<T> (*read_one)(CborReader&)) {
  return in.array(limit, [&]() -> Result<> {
    TRY(one, read_one(in));
    out.push_back(std::move(one));
    return {};
  });
}

Result<ShareChange> read_change(CborReader& in) {
  static constexpr std::string_view keys[] = {"test", "write", "new-length"};
  ShareChange change;
  return filled(closed_map(in, keys,
                           [&](std::string_view key) {
                             if (key == "test")
                               return read_list(in, max_vectors, change.tests, read_test);
                             if (key == "write")
                               return read_list(in, any, change.writes, read_write);
                             return into(change.new_length, in.unsigned_int_or_null());
                           }),
                change);
}

}  // namespace

Bytes encode_allocate(const std::set<ShareNo>& numbers, std::uint64_t share_size) {
  CborWriter out;
  out.map(2);
  out.text("share-numbers");
  write_shares(out, numbers);
  out.text("allocated-size");
  out.unsigned_int(share_size);
  return out.take();
}

Result<AllocateRequest> decode_allocate(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<AllocateRequest> {
    static constexpr std::string_view keys[] = {"share-numbers", "allocated-size"};
    AllocateRequest request;
    return filled(closed_map(in, keys,
                             [&](std::string_view key) {
                               if (key == "share-numbers")
                                 return into(request.numbers, read_shares(in));
                               return into(request.share_size, in.unsigned_int());
                             }),
                  request);
  });
}

Bytes encode_allocation(const Allocation& allocation) {
  CborWriter out;
  out.map(2);
  out.text("already-have");
  write_shares(out, allocation.already_have);
  out.text("allocated");
  write_shares(out, allocation.allocated);
  return out.take();
}

Result<Allocation> decode_allocation(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<Allocation> {
    static constexpr std::string_view keys[] = {"already-have", "allocated"};
    Allocation allocation;
    return filled(closed_map(in, keys,
                             [&](std::string_view key) {
                               return into(key == "allocated" ? allocation.allocated
                                                              : allocation.already_have,
                                           read_shares(in));
                             }),
                  allocation);
  });
}

Bytes encode_version(const ServerVersion& version) {
  CborWriter out;
  out.map(2);
  out.bytes(as_bytes(protocol_v1));
  out.map(3);
  out.bytes(as_bytes("maximum-immutable-share-size"));
  out.unsigned_int(version.max_immutable_share_size);
  out.bytes(as_bytes("maximum-mutable-share-size"));
  out.unsigned_int(version.max_mutable_share_size);
  out.bytes(as_bytes("available-space"));
  out.unsigned_int(version.available_space);
  out.bytes(as_bytes("application-version"));
  out.bytes(as_bytes(version.application_version));
  return out.take();
}

Result<ServerVersion> decode_version(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<ServerVersion> {
    static constexpr std::string_view keys[] = {protocol_v1, "application-version"};
    static constexpr std::string_view inner[] = {"maximum-immutable-share-size",
                                                 "maximum-mutable-share-size", "available-space"};
    ServerVersion version;
    return filled(closed_map(in, keys,
                             [&](std::string_view key) -> Result<> {
                               if (key == protocol_v1) {
                                 return closed_map(in, inner, [&](std::string_view what) {
                                   return into(what == inner[0]   ? version.max_immutable_share_size
                                               : what == inner[1] ? version.max_mutable_share_size
                                                                  : version.available_space,
                                               in.unsigned_int());
                                 });
                               }
                               TRY(text, in.bytes(256));
                               version.application_version = to_text(text);
                               return {};
                             }),
                  version);
  });
}

Bytes encode_share_set(const std::set<ShareNo>& numbers) {
  CborWriter out;
  write_shares(out, numbers);
  return out.take();
}

Result<std::set<ShareNo>> decode_share_set(ByteView body) { return whole(body, read_shares); }

Bytes encode_required(const std::vector<ByteRange>& required) {
  CborWriter out;
  out.map(1);
  out.text("required");
  out.array(required.size());
  for (const auto& range : required) {
    out.map(2);
    out.text("begin");
    out.unsigned_int(range.begin);
    out.text("end");
    out.unsigned_int(range.end);
  }
  return out.take();
}

Result<std::vector<ByteRange>> decode_required(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<std::vector<ByteRange>> {
    static constexpr std::string_view keys[] = {"required"};
    static constexpr std::string_view inner[] = {"begin", "end"};
    std::vector<ByteRange> required;
    return filled(
        closed_map(in, keys,
                   [&](std::string_view) {
                     return in.array(any, [&]() -> Result<> {
                       ByteRange range;
                       TRY_DO(closed_map(in, inner, [&](std::string_view key) {
                         return into(key == "begin" ? range.begin : range.end, in.unsigned_int());
                       }));
                       if (range.end < range.begin)
                         return fail(Errc::protocol, "a range that ends before it begins");
                       required.push_back(range);
                       return {};
                     });
                   }),
        required);
  });
}

Bytes encode_reason(std::string_view reason) {
  // The limit of the text is 32765 bytes, but that of the body is 32768, and the body has 11 more.
  constexpr std::size_t longest = 32768 - 11;
  if (reason.size() > longest) {
    std::size_t cut = longest;
    while (cut > 0 && (static_cast<std::uint8_t>(reason[cut]) & 0xc0) == 0x80) --cut;
    reason = reason.substr(0, cut);
  }
  CborWriter out;
  out.map(1);
  out.text("reason");
  out.text(reason.empty() ? "unknown" : reason);
  return out.take();
}

Result<std::string> decode_reason(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<std::string> {
    static constexpr std::string_view keys[] = {"reason"};
    std::string reason;
    TRY_DO(
        closed_map(in, keys, [&](std::string_view) { return into(reason, in.text(max_reason)); }));
    if (reason.empty()) return fail(Errc::protocol, "an empty reason");
    return reason;
  });
}

Bytes encode_read_test_write(const ReadTestWrite& request) {
  std::size_t size = 1024;
  for (const auto& [number, change] : request.changes) {
    for (const auto& test : change.tests) size += test.specimen.size() + 48;
    for (const auto& write : change.writes) size += write.data.size() + 32;
  }
  CborWriter out;
  out.reserve(size);
  out.map(2);
  out.text("test-write-vectors");
  out.map(request.changes.size());
  for (const auto& [number, change] : request.changes) {
    out.unsigned_int(number.value);
    out.map(3);
    out.text("test");
    out.array(change.tests.size());
    for (const auto& test : change.tests) {
      out.map(3);
      out.text("offset");
      out.unsigned_int(test.offset);
      out.text("size");
      out.unsigned_int(test.size);
      out.text("specimen");
      out.bytes(test.specimen);
    }
    out.text("write");
    out.array(change.writes.size());
    for (const auto& write : change.writes) {
      out.map(2);
      out.text("offset");
      out.unsigned_int(write.offset);
      out.text("data");
      out.bytes(write.data);
    }
    out.text("new-length");
    if (change.new_length) {
      out.unsigned_int(*change.new_length);
    } else {
      out.null();
    }
  }
  out.text("read-vector");
  out.array(request.reads.size());
  for (const auto& read : request.reads) {
    out.map(2);
    out.text("offset");
    out.unsigned_int(read.offset);
    out.text("size");
    out.unsigned_int(read.size);
  }
  return out.take();
}

Result<ReadTestWrite> decode_read_test_write(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<ReadTestWrite> {
    static constexpr std::string_view keys[] = {"test-write-vectors", "read-vector"};
    ReadTestWrite request;
    return filled(
        closed_map(in, keys,
                   [&](std::string_view key) -> Result<> {
                     if (key == "read-vector")
                       return read_list(in, max_vectors, request.reads, read_read);
                     return in.map(max_shares, [&]() -> Result<> {
                       TRY(number, in.unsigned_int());
                       TRY(change, read_change(in));
                       if (!request.changes.emplace(ShareNo{number}, std::move(change)).second) {
                         return fail(Errc::protocol, "CBOR: repeated key");
                       }
                       return {};
                     });
                   }),
        request);
  });
}

Bytes encode_reply(const ReadTestWriteReply& reply) {
  std::size_t size = 64;
  for (const auto& [number, reads] : reply.data) {
    size += 16;
    for (const auto& read : reads) size += read.size() + 9;
  }
  CborWriter out;
  out.reserve(size);
  out.map(2);
  out.text("success");
  out.boolean(reply.success);
  out.text("data");
  out.map(reply.data.size());
  for (const auto& [number, reads] : reply.data) {
    out.unsigned_int(number.value);
    out.array(reads.size());
    for (const auto& read : reads) out.bytes(read);
  }
  return out.take();
}

Result<ReadTestWriteReply> decode_reply(ByteView body) {
  return whole(body, [](CborReader& in) -> Result<ReadTestWriteReply> {
    static constexpr std::string_view keys[] = {"success", "data"};
    ReadTestWriteReply reply;
    return filled(
        closed_map(in, keys,
                   [&](std::string_view key) -> Result<> {
                     if (key == "success") return into(reply.success, in.boolean());
                     // A server may hold more shares than one request can name.
                     return in.map(any, [&]() -> Result<> {
                       TRY(number, in.unsigned_int());
                       std::vector<Bytes> reads;
                       TRY_DO(in.array(max_vectors, [&]() -> Result<> {
                         TRY(read, in.bytes(any));
                         reads.push_back(std::move(read));
                         return {};
                       }));
                       if (!reply.data.emplace(ShareNo{number}, std::move(reads)).second) {
                         return fail(Errc::protocol, "CBOR: repeated key");
                       }
                       return {};
                     });
                   }),
        reply);
  });
}

}  // namespace lafs::grid::storage
