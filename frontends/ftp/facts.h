// SPDX-License-Identifier: Apache-2.0
#pragma once

// The facts of MLST, MLSD and MFF (RFC 3659, draft-somers-ftp-mfxx) and the times they are written
// in. Plain.

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "frontends/fs/types.h"

namespace lafs::ftp {

enum class Fact : std::uint8_t {
  type,
  size,
  modify,
  create,
  perm,
  unique,
  unix_mode,
  unix_uid,
  unix_gid
};
inline constexpr std::size_t fact_count = 9;

// Which facts a client wants.
using FactSet = std::uint16_t;
constexpr FactSet bit(Fact fact) { return static_cast<FactSet>(1u << static_cast<unsigned>(fact)); }
inline constexpr FactSet all_facts = (1u << fact_count) - 1;

// "type*;size*;modify*;...": for FEAT, a star at those that are wanted.
std::string fact_names(FactSet wanted, bool with_stars);
// The facts that a client names in OPTS MLST; those we do not know are left out (RFC 3659, 7.9).
FactSet parse_fact_names(std::string_view text);

struct FactsOf {
  const fs::Attributes& attributes;
  std::string_view type = {};         // "cdir", "pdir"; empty: by kind
  std::string_view link_target = {};  // of a symbolic link
  std::string_view created = {};      // when known
  bool writable = true;               // the account may change things
};
// "type=file;size=5;...; " up to the blank before the name.
void append_facts(std::string& out, const FactsOf& of, FactSet wanted);

// YYYYMMDDHHMMSS in UTC.
std::string time_value(const timespec& time);
// The same with an optional fraction. Nothing for what is no time: no month 13, no second 61.
std::optional<timespec> parse_time_value(std::string_view text);
// A moment of a calendar in UTC.
std::optional<std::time_t> from_calendar(int year, int month, int day, int hour, int minute,
                                         int second);

// "Modify=20260101000000;UNIX.mode=0644;" of MFF: what to change, and the facts as they are said
// in the reply. Nothing when one of them cannot be changed or read: then none is.
struct FactChanges {
  fs::Changes changes;
  std::optional<std::string> created;  // a time value
  std::string said;
};
std::optional<FactChanges> parse_fact_changes(std::string_view text);

// Times of SITE UTIME: "YYYYMMDDhhmm[ss] path" (proftpd) or "path YYYYMMDDhhmmss YYYYMMDDhhmmss
// YYYYMMDDhhmmss UTC" (access, change, creation).
struct SiteTimes {
  std::string path;
  timespec modified{};
  std::optional<timespec> accessed;
};
std::optional<SiteTimes> parse_site_times(std::string_view text);

}  // namespace lafs::ftp
