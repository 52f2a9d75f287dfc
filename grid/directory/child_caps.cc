// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/child_caps.h"

#include <array>

namespace lafs::grid {

namespace {

constexpr std::string_view read_only_prefix = "ro.";
constexpr std::string_view immutable_prefix = "imm.";

ChildCaps refused(std::string why) {
  ChildCaps out;
  out.problem = std::move(why);
  return out;
}

std::string describe(UnknownCap::Problem problem) {
  switch (problem) {
    case UnknownCap::Problem::must_be_deep_immutable:
      return "the cap is not immutable, and must be here";
    case UnknownCap::Problem::must_be_read_only:
      return "the cap is not read-only, and must be here";
    case UnknownCap::Problem::bad_uri:
    case UnknownCap::Problem::none:
      break;
  }
  return "the cap is malformed";
}

ChildCaps known(const Cap& cap) {
  ChildCaps out;
  out.cap = cap;
  out.read_cap = cap.read_only().value_or(cap);
  if (cap.as<MutableWriteCap>()) out.rw = cap.text();
  out.ro = out.read_cap.text();
  return out;
}

// What the characters of base32 stand for, as bits to test; 0 for others.
constexpr std::array<std::uint8_t, 256> base32_bits = [] {
  std::array<std::uint8_t, 256> out{};
  constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    out[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(0x80 | i);
  }
  return out;
}();

// The front of `text` is the base32 of 16 or 32 bytes, and more follows: takes it off.
bool take_base32(std::string_view& text, std::size_t length, std::uint8_t unused_bits) {
  if (text.size() < length) return false;
  std::uint8_t all = 0x80;
  for (std::size_t i = 0; i < length; ++i) all &= base32_bits[static_cast<std::uint8_t>(text[i])];
  const auto last = base32_bits[static_cast<std::uint8_t>(text[length - 1])];
  if (!(all & 0x80) || (last & unused_bits)) return false;
  text.remove_prefix(length);
  return true;
}

// Few enough digits that they fit 64 bits.
bool take_short_number(std::string_view& text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 18) return false;
  text.remove_prefix(digits);
  return true;
}

bool take_colon(std::string_view& text) {
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

bool plainly_good_read_cap(std::string_view text, bool deep_immutable) {
  static constexpr std::string_view immutable_kinds[] = {"URI:CHK:", "URI:DIR2-CHK:"};
  static constexpr std::string_view mutable_kinds[] = {
      "URI:DIR2-RO:", "URI:SSK-RO:", "URI:DIR2-MDMF-RO:", "URI:MDMF-RO:"};
  const auto take_two = [&] {
    return take_base32(text, 26, 3) && take_colon(text) && take_base32(text, 52, 15);
  };
  for (const auto kind : immutable_kinds) {
    if (!text.starts_with(kind)) continue;
    text.remove_prefix(kind.size());
    return take_two() && take_colon(text) && take_short_number(text) && take_colon(text) &&
           take_short_number(text) && take_colon(text) && take_short_number(text) && text.empty();
  }
  if (deep_immutable) return false;
  for (const auto kind : mutable_kinds) {
    if (!text.starts_with(kind)) continue;
    text.remove_prefix(kind.size());
    return take_two() && text.empty();
  }
  return false;
}

ChildCaps ChildCaps::make(std::string_view rw_text, std::string_view ro_text, bool deep) {
  std::string rw(rw_text);
  std::string ro(ro_text);
  const Cap strongest = Cap::parse(rw.empty() ? ro : rw, deep);
  if (!strongest.is_unknown() && !strongest.is_verifier()) return known(strongest);

  if (!rw.empty()) {
    const bool immutable = rw.starts_with(immutable_prefix);
    if (ro.empty()) {
      if (!immutable && (deep || !rw.starts_with(read_only_prefix))) {
        return refused("a cap that is not understood may not be stored as a write cap");
      }
      ro = std::move(rw);
      rw.clear();
    } else if (deep || ro.starts_with(immutable_prefix)) {
      return refused("the cap is not immutable, and must be here");
    }
  }
  if (!ro.empty()) {
    const Cap parsed = Cap::parse(ro, deep);
    const auto* unknown = parsed.as<UnknownCap>();
    if (unknown && unknown->problem != UnknownCap::Problem::none) {
      return refused(describe(unknown->problem));
    }
    const bool marked_immutable = ro.starts_with(immutable_prefix);
    const bool marked_read_only = ro.starts_with(read_only_prefix);
    if (deep && !marked_immutable) {
      ro = std::string(immutable_prefix) + (marked_read_only ? ro.substr(3) : ro);
    } else if (!deep && !marked_immutable && !marked_read_only) {
      ro = std::string(read_only_prefix) + ro;
    }
  }
  ChildCaps out;
  out.read_cap = Cap(UnknownCap{ro});
  out.cap = rw.empty() ? out.read_cap : Cap(UnknownCap{rw});
  out.rw = std::move(rw);
  out.ro = std::move(ro);
  return out;
}

ChildCaps ChildCaps::of(const Cap& cap, const std::optional<Cap>& read_cap) {
  if (!cap.is_unknown() && !cap.is_verifier()) return known(cap);
  if (cap.is_verifier()) return make({}, cap.text(), false);
  const auto text = cap.text();
  // A listing gives an unknown child's read cap as its cap when there is no write cap.
  const bool read_form = text.starts_with(read_only_prefix) || text.starts_with(immutable_prefix);
  if (read_form) return make({}, text, false);
  return make(text, read_cap ? read_cap->text() : std::string(), false);
}

bool ChildCaps::deeply_immutable() const {
  if (problem) return false;
  if (cap.is_unknown()) return rw.empty();
  return !cap.is_mutable();
}

std::optional<std::string> ChildCaps::unstorable(bool deep_immutable) const {
  if (problem) return problem;
  if (rw.empty() && ro.empty()) return "there is no cap";
  if (deep_immutable && !deeply_immutable()) return "the cap is not immutable, and must be here";
  // Tahoe fails to list a directory that holds one. A cap that is understood is none (see known()).
  if (!cap.is_unknown()) return std::nullopt;
  if (const auto parsed = Cap::parse(ro); parsed.as<ChkVerifyCap>() && !parsed.is_directory()) {
    return "the verify cap of an immutable file cannot be in a directory";
  }
  return std::nullopt;
}

std::string ChildCaps::stored_ro(bool deep_immutable) const {
  if (ro.starts_with(immutable_prefix)) return deep_immutable ? ro.substr(4) : ro;
  if (ro.starts_with(read_only_prefix)) return ro.substr(3);
  return ro;
}

ChildCaps ChildCaps::read_only() const {
  ChildCaps out = *this;
  out.rw.clear();
  out.cap = read_cap;
  return out;
}

}  // namespace lafs::grid
