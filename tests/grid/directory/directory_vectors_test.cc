// SPDX-License-Identifier: Apache-2.0
// Known answers of Tahoe nodes for directories: tables, crafted tables, what may be stored, edits.
// The file is read with our own JSON parser, which keeps every digit of a number.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "grid/base/base32.h"
#include "grid/base/netstring.h"
#include "grid/caps/keys.h"
#include "grid/directory/directory.h"
#include "grid/directory/entries.h"

using namespace lafs;
using namespace lafs::grid;

namespace {

const Json& vectors() {
  static const Json all = [] {
    const char* directory = std::getenv("LAFS_VECTORS");
    std::ifstream in(
        std::string(directory && *directory ? directory : LAFS_SOURCE_ROOT "/tests/vectors") +
            "/directories.json",
        std::ios::binary);
    auto parsed = parse_json(std::string(std::istreambuf_iterator<char>(in), {}));
    REQUIRE(parsed);
    return *parsed;
  }();
  return all;
}

const Json* member(const Json& json, std::string_view key) {
  const auto* object = json.as<Json::Object>();
  REQUIRE(object);
  const Json* value = find(*object, key);
  return value && !value->as<std::nullptr_t>() ? value : nullptr;
}
const Json& at(const Json& json, std::string_view key) {
  const Json* value = member(json, key);
  INFO(key);
  REQUIRE(value);
  return *value;
}
const Json::Array& list(const Json& json, std::string_view key) {
  const auto* array = at(json, key).as<Json::Array>();
  REQUIRE(array);
  return *array;
}
const Json::Array& group(std::string_view key) {
  REQUIRE(!list(vectors(), key).empty());
  return list(vectors(), key);
}
std::string text(const Json& json, std::string_view key) {
  const auto* s = at(json, key).as<std::string>();
  REQUIRE(s);
  return *s;
}
std::string text_or_empty(const Json& json, std::string_view key) {
  return member(json, key) ? text(json, key) : std::string();
}
Bytes b64(const Json& json, std::string_view key) {
  auto bytes = from_base64(text(json, key));
  REQUIRE(bytes);
  return *bytes;
}
bool flag(const Json& json, std::string_view key) { return *at(json, key).as<bool>(); }

Metadata metadata(const Json& json) {
  const auto* object = json.as<Json::Object>();
  REQUIRE(object);
  return Metadata(*object);
}
std::optional<Metadata> optional_metadata(const Json& json, std::string_view key) {
  if (const Json* value = member(json, key)) return metadata(*value);
  return std::nullopt;
}

TableKind immutable_kind() {
  TableKind kind;
  kind.immutable = true;
  return kind;
}
// Through the write cap, or through the read cap.
TableKind mutable_kind(bool writable = true) {
  static const auto key = Key16::from(*from_hex(text(group("directories")[0], "write_key_hex")));
  TableKind kind;
  if (writable) kind.write_key = *key;
  return kind;
}

std::string kind_name(const Cap& cap) {
  if (cap.is_unknown()) return "unknown";
  const bool d = cap.is_directory();
  if (cap.is_literal()) return d ? "dir2-lit" : "lit";
  if (cap.as<ChkCap>()) return d ? "dir2-chk" : "chk";
  const auto* write = cap.as<MutableWriteCap>();
  const auto* read = cap.as<MutableReadCap>();
  if (!write && !read) return "verifier";
  const bool mdmf = (write ? write->format : read->format) == MutableFormat::mdmf;
  return std::string(d      ? mdmf ? "dir2-mdmf" : "dir2"
                     : mdmf ? "mdmf"
                            : "ssk") +
         (write ? "" : "-ro");
}

// `seen`: an outcome with children or an error.
void check_seen(const Bytes& table, const TableKind& kind, const Json& seen) {
  auto entries = Entries::unpack(table, kind);
  if (member(seen, "error")) {
    CHECK_FALSE(entries);
    if (!entries) CHECK(entries.error().code == Errc::corrupt);
    return;
  }
  REQUIRE(entries);
  auto children = Listing({}, *entries).children();
  std::vector<const Json*> expected;
  for (const auto& child : list(seen, "children")) {
    if (member(child, "original_fails_with")) {
      // Shown as unknown or left out: both are sensible.
      std::erase_if(children, [&](const Child& c) { return c.name == text(child, "name"); });
    } else {
      expected.push_back(&child);
    }
  }
  REQUIRE(children.size() == expected.size());
  for (std::size_t i = 0; i < children.size(); ++i) {
    const auto& child = children[i];
    const auto& e = *expected[i];
    INFO(child.name);
    CHECK(child.name == text(e, "name"));
    CHECK(kind_name(child.cap) == text(e, "kind"));
    const auto write = text_or_empty(e, "write_cap");
    const auto read = text_or_empty(e, "read_cap");
    CHECK(child.read_cap.text() == read);
    CHECK(child.cap.text() == (write.empty() ? read : write));
    CHECK(child.metadata == metadata(at(e, "metadata")));
  }
}

// One child with both slots as given.
Result<Bytes> pack_one(std::string_view name, std::string_view rw, std::string_view ro,
                       const TableKind& kind) {
  const auto caps = ChildCaps::make(rw, ro, kind.immutable);
  if (auto why = caps.unstorable(kind.immutable)) return fail(Errc::bad_cap, *why);
  Entries table(kind);
  table.set(std::string(name), caps, Metadata());
  return table.pack();
}

void check_packing(const Json& v, const TableKind& kind) {
  Entries table(kind);
  for (const auto& given : list(v, "given")) {
    const auto name = normalise_name(text(given, "name"));
    REQUIRE(name);
    const auto caps = ChildCaps::make(text_or_empty(given, "write_cap"),
                                      text_or_empty(given, "read_cap"), kind.immutable);
    INFO(*name);
    REQUIRE_FALSE(caps.unstorable(kind.immutable));
    table.set(*name, caps, metadata(at(given, "metadata")));
  }
  const auto packed = table.pack();
  CHECK(packed == b64(v, "packed_b64"));
  const auto& expected = list(v, "entries");
  REQUIRE(table.size() == expected.size());
  std::size_t i = 0;
  table.each([&](std::string_view name, const Entry& entry) {
    const auto& e = expected[i++];
    CHECK(to_hex(as_bytes(name)) == text(e, "name_utf8_hex"));
    CHECK(as_text(entry.read_cap) == text(e, "ro_cap"));
    CHECK(to_hex(entry.rwcapdata) == text_or_empty(e, "rwcapdata_hex"));
    CHECK(entry.metadata_text == text(e, "metadata_json"));
    if (member(e, "rw_salt_hex")) {
      const auto salt = *from_hex(text(e, "rw_salt_hex"));
      CHECK(equal(entry.rwcapdata.first(16), salt));
      CHECK(to_hex(child_key(salt, *kind.write_key).view()) == text(e, "rw_key_hex"));
      CHECK(to_hex(entry.rwcapdata.last(32)) == text(e, "rw_mac_hex"));
    }
  });
}

Cap cap_of(const Json& operation) {
  const auto write = text_or_empty(operation, "write_cap");
  return Cap::parse(write.empty() ? text(operation, "read_cap") : write);
}

Edit edit_of(const Json& operation) {
  if (const Json* add = member(operation, "add")) {
    Edit::Set set{text(*add, "name"), cap_of(*add), optional_metadata(*add, "metadata")};
    const auto& overwrite = at(*add, "overwrite");
    if (overwrite.as<std::string>()) {
      set.overwrite = Overwrite::only_files;
    } else {
      set.overwrite = *overwrite.as<bool>() ? Overwrite::always : Overwrite::never;
    }
    return set;
  }
  if (const Json* change = member(operation, "set_metadata")) {
    const auto given = metadata(at(*change, "metadata"));
    return Edit::SetMetadata{text(*change, "name"), [given](Metadata) { return given; }};
  }
  const auto& remove = at(operation, "delete");
  Edit::Remove out{text(remove, "name")};
  if (member(remove, "must_exist")) out.must_exist = flag(remove, "must_exist");
  return out;
}

}  // namespace

TEST_CASE("tables of mutable directories are packed byte for byte, and seen as Tahoe sees them") {
  for (const auto& v : group("directories")) {
    INFO(text(v, "name"));
    check_packing(v, mutable_kind());
    const auto table = b64(v, "packed_b64");
    check_seen(table, mutable_kind(true), at(v, "seen_through_write_cap"));
    check_seen(table, mutable_kind(false), at(v, "seen_through_read_cap"));
    // What was read is written again without a change.
    CHECK(Entries::unpack(table, mutable_kind())->pack() == table);
  }
}

TEST_CASE("tables of immutable directories are packed byte for byte") {
  for (const auto& v : group("immutable")) {
    INFO(text(v, "name"));
    check_packing(v, immutable_kind());
    const auto table = b64(v, "packed_b64");
    check_seen(table, immutable_kind(), at(v, "seen"));
    if (table.size() <= 55) CHECK(Cap(LitCap{table}, true).text() == text(v, "cap"));
    std::vector<Child> children;
    for (const auto& given : list(v, "given")) {
      const Cap cap = Cap::parse(text(given, "read_cap"), true);
      children.push_back({text(given, "name"), cap, cap, metadata(at(given, "metadata"))});
    }
    CHECK(pack_immutable(children) == table);
  }
}

TEST_CASE("crafted and damaged tables are seen as Tahoe sees them") {
  for (const auto& v : group("crafted")) {
    INFO(text(v, "title"));
    const auto table = b64(v, "packed_b64");
    if (text(v, "title") == "verify cap of an immutable file as a child") {
      // Tahoe crashes on it; one useless child is no reason to hide all others.
      auto entries = Entries::unpack(table, mutable_kind());
      REQUIRE(entries);
      for (const auto& child : Listing({}, *entries).children()) CHECK(child.cap == child.read_cap);
      continue;
    }
    check_seen(table, mutable_kind(true), at(v, "seen_through_write_cap"));
    check_seen(table, mutable_kind(false), at(v, "seen_through_read_cap"));
    if (const Json* seen = member(v, "seen_as_immutable_directory")) {
      check_seen(table, immutable_kind(), *seen);
    }
  }
}

TEST_CASE("the same caps may be stored as with Tahoe") {
  for (const auto& v : group("storing")) {
    const bool immutable = flag(v, "immutable_directory");
    const auto cap = text(v, "cap");
    INFO(cap << " in the " << text(v, "slot") << " slot, immutable: " << immutable);
    const bool write = text(v, "slot") == "write";
    const auto packed = pack_one("n", write ? cap : "", write ? "" : cap,
                                 immutable ? immutable_kind() : mutable_kind());
    CHECK(packed.has_value() == flag(v, "accepted"));
    if (packed && member(v, "packed_b64")) CHECK(*packed == b64(v, "packed_b64"));
  }
}

TEST_CASE("edits change a table as Tahoe does") {
  std::size_t type_checks = 0;
  for (const auto& v : group("modifications")) {
    INFO(text(v, "title"));
    const auto& operation = at(v, "operation");
    const auto old = b64(v, "old_b64");
    auto table = Entries::unpack(old, mutable_kind());
    REQUIRE(table);
    // Whether a child is a file or a directory is for our callers to check.
    if (const Json* remove = member(operation, "delete");
        remove && (member(*remove, "must_be_directory") || member(*remove, "must_be_file"))) {
      const auto entry = table->find(text(*remove, "name"));
      REQUIRE(entry);
      CHECK(table->caps(*entry).cap.is_directory() == (member(*remove, "must_be_file") != nullptr));
      ++type_checks;
      continue;
    }
    EditBatch batch({edit_of(operation)}, EditOptions{.now = *at(v, "now").number()});
    const auto changed = batch.apply(*table);
    if (member(v, "error")) {
      const auto error = text(v, "error");
      REQUIRE_FALSE(changed);
      CHECK(changed.error().code == (error == "ExistingChildError" ? Errc::exists
                                     : error == "NoSuchChildError" ? Errc::not_found
                                                                   : Errc::bad_cap));
      continue;
    }
    REQUIRE(changed);
    CHECK(changed->pack() == (member(v, "new_b64") ? b64(v, "new_b64") : old));
  }
  CHECK(type_checks == 2);
}

TEST_CASE("metadata is updated as Tahoe updates it") {
  for (const auto& v : group("update_metadata")) {
    const auto out = Metadata::updated(optional_metadata(v, "old"), optional_metadata(v, "new"),
                                       *at(v, "now").number());
    const auto expected = metadata(at(v, "result"));
    INFO(out.text() << " and " << expected.text());
    // Python's dictionaries compare without regard to order, and 1 equals 1.0.
    CHECK(out.object().size() == expected.object().size());
    for (const auto& [key, value] : expected.object()) {
      const Json* ours = find(out.object(), key);
      REQUIRE(ours);
      if (const auto* nested = value.as<Json::Object>()) {
        for (const auto& [name, leaf] : *nested) {
          const Json* ours_leaf = find(*ours->as<Json::Object>(), name);
          REQUIRE(ours_leaf);
          CHECK(ours_leaf->number() == leaf.number());
        }
      } else {
        CHECK(*ours == value);
      }
    }
  }
}
