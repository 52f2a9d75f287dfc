// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/metadata.h"

#include "grid/base/base32.h"
#include "grid/directory/json_text.h"

namespace lafs::grid {

namespace {

constexpr std::string_view tahoe_key = "tahoe";
constexpr std::string_view lafs_key = "lafs";

bool same_time(const std::optional<timespec>& a, const std::optional<timespec>& b) {
  if (!a || !b) return !a && !b;
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

// [seconds, nanoseconds]: doubles would lose the nanoseconds.
Json time_to_json(const timespec& t) {
  return Json::Array{Json(std::int64_t{t.tv_sec}), Json(std::int64_t{t.tv_nsec})};
}

std::optional<timespec> time_from_json(const Json* json) {
  const auto* pair = json ? json->as<Json::Array>() : nullptr;
  if (!pair || pair->size() != 2) return std::nullopt;
  const auto seconds = (*pair)[0].integer();
  const auto nanoseconds = (*pair)[1].integer();
  if (!seconds || !nanoseconds || *nanoseconds < 0 || *nanoseconds > 999'999'999) {
    return std::nullopt;
  }
  return timespec{*seconds, static_cast<long>(*nanoseconds)};
}

std::optional<std::uint32_t> u32_from_json(const Json* json, std::int64_t most) {
  const auto number = json ? json->integer() : std::nullopt;
  if (!number || *number < 0 || *number > most) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

constexpr std::pair<PosixFacts::Kind, std::string_view> kinds[] = {
    {PosixFacts::Kind::symlink, "symlink"},
    {PosixFacts::Kind::fifo, "fifo"},
    {PosixFacts::Kind::socket, "socket"},
};

std::optional<double> link_time(const Json::Object& object, std::string_view name) {
  const Json* tahoe = find(object, tahoe_key);
  const auto* times = tahoe ? tahoe->as<Json::Object>() : nullptr;
  const Json* time = times ? find(*times, name) : nullptr;
  return time ? time->number() : std::nullopt;
}

}  // namespace

bool PosixFacts::operator==(const PosixFacts& o) const {
  return kind == o.kind && mode == o.mode && uid == o.uid && gid == o.gid &&
         same_time(mtime, o.mtime) && same_time(atime, o.atime) && same_time(ctime, o.ctime) &&
         xattrs == o.xattrs;
}

Result<Metadata> Metadata::parse(std::string_view json) {
  TRY(value, parse_json(json));
  auto* object = value.as<Json::Object>();
  if (!object) return fail(Errc::corrupt, "metadata is not a JSON object");
  return Metadata(std::move(*object));
}

std::string Metadata::text() const { return print_json_object(object_); }

Metadata Metadata::updated(const std::optional<Metadata>& old, const std::optional<Metadata>& given,
                           double now) {
  Json::Object m = old ? old->object_ : Json::Object{};
  std::optional<Json> old_ctime;
  if (const Json* ctime = find(m, "ctime")) old_ctime = *ctime;
  std::optional<Json> tahoe;
  if (const Json* t = find(m, tahoe_key)) tahoe = *t;
  if (given) {
    m = given->object_;
    erase(m, tahoe_key);
    if (tahoe) set(m, tahoe_key, *tahoe);
  }
  const auto* kept = tahoe ? tahoe->as<Json::Object>() : nullptr;
  Json::Object times = kept ? *kept : Json::Object{};
  if (!find(times, "linkcrtime")) set(times, "linkcrtime", old_ctime ? *old_ctime : Json(now));
  set(times, "linkmotime", Json(now));
  set(m, tahoe_key, Json(std::move(times)));
  return Metadata(std::move(m));
}

bool Metadata::no_write() const {
  const Json* flag = find(object_, "no-write");
  return flag && flag->truthy();
}

std::optional<double> Metadata::link_created() const { return link_time(object_, "linkcrtime"); }
std::optional<double> Metadata::link_modified() const { return link_time(object_, "linkmotime"); }

PosixFacts Metadata::posix() const {
  PosixFacts facts;
  const Json* ours = find(object_, lafs_key);
  const auto* o = ours ? ours->as<Json::Object>() : nullptr;
  if (!o) return facts;
  if (const Json* kind = find(*o, "kind")) {
    const auto* name = kind->as<std::string>();
    for (const auto& [value, text] : kinds) {
      if (name && *name == text) facts.kind = value;
    }
  }
  facts.mode = u32_from_json(find(*o, "mode"), 07777);
  facts.uid = u32_from_json(find(*o, "uid"), 0xFFFFFFFF);
  facts.gid = u32_from_json(find(*o, "gid"), 0xFFFFFFFF);
  facts.mtime = time_from_json(find(*o, "mtime"));
  facts.atime = time_from_json(find(*o, "atime"));
  facts.ctime = time_from_json(find(*o, "ctime"));
  const Json* xattrs = find(*o, "xattrs");
  if (const auto* map = xattrs ? xattrs->as<Json::Object>() : nullptr) {
    for (const auto& [name, value] : *map) {
      const auto* text = value.as<std::string>();
      auto bytes = text ? from_base64(*text) : std::nullopt;
      if (bytes && !name.empty()) facts.xattrs[name] = std::move(*bytes);
    }
  }
  return facts;
}

void Metadata::set_posix(const PosixFacts& facts) {
  Json::Object o;
  for (const auto& [value, text] : kinds) {
    if (facts.kind == value) set(o, "kind", Json(std::string(text)));
  }
  const auto number = [&](std::string_view key, const std::optional<std::uint32_t>& n) {
    if (n) set(o, key, Json(std::int64_t{*n}));
  };
  number("mode", facts.mode);
  number("uid", facts.uid);
  number("gid", facts.gid);
  const auto time = [&](std::string_view key, const std::optional<timespec>& t) {
    if (t) set(o, key, time_to_json(*t));
  };
  time("mtime", facts.mtime);
  time("atime", facts.atime);
  time("ctime", facts.ctime);
  if (!facts.xattrs.empty()) {
    Json::Object map;
    for (const auto& [name, value] : facts.xattrs) set(map, name, Json(base64(value)));
    set(o, "xattrs", Json(std::move(map)));
  }
  if (o.empty()) {
    erase(object_, lafs_key);
  } else {
    set(object_, lafs_key, Json(std::move(o)));
  }
}

}  // namespace lafs::grid
