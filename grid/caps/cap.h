// SPDX-License-Identifier: Apache-2.0
#pragma once

// Capabilities: the unguessable strings that are both name and key (spec/immutable 3, spec/mutable
// 1.5). A Cap is always printable again; what we do not understand is kept verbatim as UnknownCap.

#include <string>
#include <variant>

#include "grid/base/result.h"
#include "grid/caps/storage_index.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/secret.h"

namespace lafs::grid {

// The contents themselves, at most 55 bytes when we make them.
struct LitCap {
  Bytes data;
  bool operator==(const LitCap&) const = default;
};

struct ChkCap {
  Key16 key;
  Hash32 ueb_hash;
  std::uint64_t k;
  std::uint64_t n;
  std::uint64_t size;
  bool operator==(const ChkCap&) const = default;
};

struct ChkVerifyCap {
  StorageIndex storage_index;
  Hash32 ueb_hash;
  std::uint64_t k;
  std::uint64_t n;
  std::uint64_t size;
  bool operator==(const ChkVerifyCap&) const = default;
};

enum class MutableFormat : std::uint8_t { sdmf, mdmf };

struct MutableWriteCap {
  MutableFormat format;
  Key16 write_key;
  Hash32 fingerprint;
  bool operator==(const MutableWriteCap&) const = default;
};

struct MutableReadCap {
  MutableFormat format;
  Key16 read_key;
  Hash32 fingerprint;
  bool operator==(const MutableReadCap&) const = default;
};

struct MutableVerifyCap {
  MutableFormat format;
  StorageIndex storage_index;
  Hash32 fingerprint;
  bool operator==(const MutableVerifyCap&) const = default;
};

// The complete original text, prefix included. `error` says what is wrong with a text that starts
// like a known cap; nothing when the kind is merely unknown to us.
struct UnknownCap {
  enum class Problem : std::uint8_t { none, bad_uri, must_be_deep_immutable, must_be_read_only };
  std::string text;
  Problem problem = Problem::none;
  bool operator==(const UnknownCap&) const = default;
};

class Cap {
 public:
  using Object = std::variant<LitCap, ChkCap, ChkVerifyCap, MutableWriteCap, MutableReadCap,
                              MutableVerifyCap, UnknownCap>;

  Cap() : Cap(UnknownCap{}) {}
  // `directory`: the same object, to be understood as a directory's table.
  template <class T>
    requires std::constructible_from<Object, T>
  explicit Cap(T object, bool directory = false)
      : object_(std::move(object)), directory_(directory) {}

  // Never fails: see UnknownCap. `deep_immutable`: the text was found in an immutable directory.
  // Handles the "ro." and "imm." prefixes (spec/immutable 3.4).
  static Cap parse(std::string_view text, bool deep_immutable = false);
  // What a person typed: Errc::bad_cap with a helpful context for everything unknown.
  static Result<Cap> parse_known(std::string_view text);

  const Object& object() const { return object_; }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&object_);
  }

  std::string text() const;
  bool is_directory() const { return directory_; }
  bool is_unknown() const { return as<UnknownCap>() != nullptr; }
  bool is_verifier() const { return as<ChkVerifyCap>() || as<MutableVerifyCap>(); }
  // Write and read caps of mutable objects; verifiers report false.
  bool is_mutable() const { return as<MutableWriteCap>() || as<MutableReadCap>(); }
  bool is_read_only() const { return !as<MutableWriteCap>() && !is_unknown(); }
  bool is_literal() const { return as<LitCap>() != nullptr; }
  // The size of an immutable object; nothing for others.
  std::optional<std::uint64_t> size() const;

  // Weaker caps (spec/immutable 3.6). Nothing: literal and unknown caps have no verifier, verifiers
  // no read cap... a read-only or verify cap gives itself.
  std::optional<Cap> read_only() const;
  std::optional<Cap> verifier() const;
  std::optional<StorageIndex> storage_index() const;

  // Equality of printed form. Not in constant time: caps are compared only with our own.
  bool operator==(const Cap&) const = default;

 private:
  Object object_;
  bool directory_ = false;
};

// "URI:LIT:" optionally after "ro." or "imm."; likewise for "URI:".
bool has_literal_prefix(std::string_view text);
bool has_cap_prefix(std::string_view text);

}  // namespace lafs::grid
