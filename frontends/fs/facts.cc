// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/facts.h"

#include <cmath>

namespace lafs::fs {

namespace {

// Only a literal can say where it points without asking anybody.
cache::PosixFacts::Kind kind_fact(const cache::Child& child, cache::PosixFacts::Kind said) {
  using Stored = cache::PosixFacts::Kind;
  return said == Stored::symlink && !child.cap.is_literal() ? Stored::file : said;
}

}  // namespace

timespec wall_clock_now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

Kind kind_of(const cache::Child& child) {
  if (child.cap.is_directory()) return Kind::directory;
  return shown_kind(kind_fact(child, child.metadata.posix().kind));
}

Kind shown_kind(cache::PosixFacts::Kind kind) {
  using Stored = cache::PosixFacts::Kind;
  switch (kind) {
    case Stored::file:
      return Kind::file;
    case Stored::symlink:
      return Kind::symlink;
    case Stored::fifo:
      return Kind::fifo;
    case Stored::socket:
      return Kind::socket;
  }
  return Kind::file;
}

cache::PosixFacts::Kind stored_kind(Kind kind) {
  using Stored = cache::PosixFacts::Kind;
  switch (kind) {
    case Kind::file:
    case Kind::directory:
      return Stored::file;
    case Kind::symlink:
      return Stored::symlink;
    case Kind::fifo:
      return Stored::fifo;
    case Kind::socket:
      return Stored::socket;
  }
  return Stored::file;
}

cache::PosixFacts facts_of(const cache::Child& child) {
  auto facts = child.metadata.posix();
  facts.kind = kind_fact(child, facts.kind);
  const auto seconds = child.metadata.link_modified();
  // Anybody can write these numbers: what does not fit a time is no time.
  if (seconds && std::isfinite(*seconds) && std::fabs(*seconds) < 1e15) {
    timespec linked;
    linked.tv_sec = static_cast<time_t>(std::floor(*seconds));
    linked.tv_nsec = static_cast<long>((*seconds - std::floor(*seconds)) * 1e9);
    if (!facts.mtime) facts.mtime = linked;
    if (!facts.ctime) facts.ctime = linked;
  }
  return facts;
}

cache::Metadata others_metadata(const cache::Child& child) {
  auto out = child.metadata;
  grid::erase(out.object(), "lafs");
  grid::erase(out.object(), "tahoe");
  return out;
}

std::uint64_t size_of(const cache::Cap& cap) { return cap.size().value_or(0); }

}  // namespace lafs::fs
