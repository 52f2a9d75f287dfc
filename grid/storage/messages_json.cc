// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/messages_json.h"

#include <boost/json.hpp>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"

namespace lafs::grid::storage {

namespace {

namespace json = boost::json;

json::array numbers_of(const std::set<ShareNo>& numbers) {
  json::array out;
  for (auto n : numbers) out.push_back(n.value);
  return out;
}

std::unexpected<Error> wrong(const std::string& what) {
  return fail(Errc::protocol, "JSON: " + what);
}

// Maps are closed here as well: a misspelt name is an error, not ignored.
Result<const json::object*> object_of(const json::value& value,
                                      std::initializer_list<std::string_view> names) {
  const auto* object = value.if_object();
  if (!object) return wrong("an object is expected");
  for (const auto& [key, ignored] : *object) {
    if (std::ranges::find(names, std::string_view(key)) == names.end()) {
      return wrong("there is no \"" + std::string(std::string_view(key)) + "\"");
    }
  }
  return object;
}

Result<const json::value*> member(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains(json::string_view(name.data(), name.size()));
  if (!found) return wrong("\"" + std::string(name) + "\" is missing");
  return found;
}

Result<std::uint64_t> number_of(const json::value& value) {
  json::error_code error;
  const auto n = value.to_number<std::uint64_t>(error);
  if (error) return wrong("a number from 0 is expected");
  return n;
}

Result<std::uint64_t> number(const json::object& object, std::string_view name) {
  TRY(value, member(object, name));
  return number_of(*value);
}

Result<Bytes> bytes(const json::object& object, std::string_view name) {
  TRY(value, member(object, name));
  const auto* text = value->if_string();
  auto raw = text ? from_base64(std::string_view(*text)) : std::nullopt;
  if (!raw) return wrong("\"" + std::string(name) + "\" is not base64");
  return std::move(*raw);
}

Result<const json::array*> array(const json::object& object, std::string_view name,
                                 std::size_t limit) {
  TRY(value, member(object, name));
  const auto* found = value->if_array();
  if (!found || found->size() > limit) {
    return wrong("\"" + std::string(name) + "\" is not an array of a sensible length");
  }
  return found;
}

Result<json::value> parse(std::string_view text) {
  if (text.size() > max_json) return wrong("more than 8 MiB; use CBOR");
  json::error_code error;
  auto value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return wrong(error.message());
  return value;
}

Result<ShareChange> change_of(const json::value& value) {
  ShareChange out;
  TRY(object, object_of(value, {"test", "write", "new-length"}));
  TRY(tests, array(*object, "test", max_vectors));
  for (const auto& one : *tests) {
    TRY(test, object_of(one, {"offset", "size", "specimen"}));
    TRY(offset, number(*test, "offset"));
    TRY(size, number(*test, "size"));
    TRY(specimen, bytes(*test, "specimen"));
    out.tests.push_back({offset, size, std::move(specimen)});
  }
  TRY(writes, array(*object, "write", max_json));
  for (const auto& one : *writes) {
    TRY(write, object_of(one, {"offset", "data"}));
    TRY(offset, number(*write, "offset"));
    TRY(data, bytes(*write, "data"));
    out.writes.push_back({offset, std::move(data)});
  }
  TRY(length, member(*object, "new-length"));
  if (!length->is_null()) {
    TRY(n, number_of(*length));
    out.new_length = n;
  }
  return out;
}

}  // namespace

std::string version_json(const ServerVersion& version) {
  return json::serialize(
      json::object{{"http://allmydata.org/tahoe/protocols/storage/v1",
                    json::object{{"maximum-immutable-share-size", version.max_immutable_share_size},
                                 {"maximum-mutable-share-size", version.max_mutable_share_size},
                                 {"available-space", version.available_space}}},
                   {"application-version", version.application_version}});
}

std::string allocation_json(const Allocation& allocation) {
  return json::serialize(json::object{{"already-have", numbers_of(allocation.already_have)},
                                      {"allocated", numbers_of(allocation.allocated)}});
}

std::string share_set_json(const std::set<ShareNo>& numbers) {
  return json::serialize(numbers_of(numbers));
}

std::string required_json(const std::vector<ByteRange>& required) {
  json::array gaps;
  for (const auto& gap : required) {
    gaps.push_back(json::object{{"begin", gap.begin}, {"end", gap.end}});
  }
  return json::serialize(json::object{{"required", std::move(gaps)}});
}

std::string reply_json(const ReadTestWriteReply& reply) {
  json::object data;
  for (const auto& [number, pieces] : reply.data) {
    json::array list;
    for (const auto& piece : pieces) list.push_back(json::string(base64(piece)));
    data[std::to_string(number.value)] = std::move(list);
  }
  return json::serialize(json::object{{"success", reply.success}, {"data", std::move(data)}});
}

Result<AllocateRequest> allocate_of_json(std::string_view text) {
  TRY(value, parse(text));
  TRY(object, object_of(value, {"share-numbers", "allocated-size"}));
  AllocateRequest out;
  TRY(numbers, array(*object, "share-numbers", max_shares));
  for (const auto& one : *numbers) {
    TRY(n, number_of(one));
    out.numbers.insert(ShareNo{n});
  }
  TRY(size, number(*object, "allocated-size"));
  out.share_size = size;
  // The same bounds as in CBOR, from the one place that knows them.
  return decode_allocate(encode_allocate(out.numbers, out.share_size));
}

Result<std::string> reason_of_json(std::string_view text) {
  TRY(value, parse(text));
  TRY(object, object_of(value, {"reason"}));
  TRY(reason, member(*object, "reason"));
  const auto* found = reason->if_string();
  if (!found || found->empty() || found->size() > max_reason) {
    return wrong("\"reason\" is a text of 1 to 32765 bytes");
  }
  return std::string(std::string_view(*found));
}

Result<ReadTestWrite> read_test_write_of_json(std::string_view text) {
  TRY(value, parse(text));
  TRY(object, object_of(value, {"test-write-vectors", "read-vector"}));
  ReadTestWrite out;
  TRY(changes, member(*object, "test-write-vectors"));
  const auto* shares = changes->if_object();
  if (!shares || shares->size() > max_shares) return wrong("bad \"test-write-vectors\"");
  for (const auto& [key, one] : *shares) {
    const auto n = parse_decimal(std::string_view(key));
    if (!n) return wrong("a share number is expected");
    TRY(change, change_of(one));
    out.changes.emplace(ShareNo{*n}, std::move(change));
  }
  TRY(reads, array(*object, "read-vector", max_vectors));
  for (const auto& one : *reads) {
    TRY(read, object_of(one, {"offset", "size"}));
    TRY(offset, number(*read, "offset"));
    TRY(size, number(*read, "size"));
    out.reads.push_back({offset, size});
  }
  return decode_read_test_write(encode_read_test_write(out));
}

}  // namespace lafs::grid::storage
