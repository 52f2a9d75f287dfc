// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/child_caps.h"

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

}  // namespace

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
  // Tahoe fails to list a directory that holds one.
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
