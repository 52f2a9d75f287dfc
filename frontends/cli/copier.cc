// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/copier.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "frontends/cli/entries.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace stdfs = std::filesystem;

// Many small files wait for the publish of one directory together; large ones fill the uplink.
constexpr std::uint64_t all_weight = 64;
constexpr std::uint64_t large_file = 1 << 20;
constexpr std::uint64_t weight_of_large = 16;

bool same_directory(const Cap& a, const Cap& b) {
  return a == b || (a.verifier() && a.verifier() == b.verifier());
}

bool contains(const std::vector<Cap>& all, const Cap& one) {
  return std::ranges::any_of(all, [&](const Cap& cap) { return same_directory(cap, one); });
}

Result<std::vector<stdfs::path>> names_in(const stdfs::path& directory) {
  std::vector<stdfs::path> out;
  std::error_code error;
  for (stdfs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    out.push_back(i->path());
  }
  if (error) return grid::system_error(error.value(), directory, "read directory");
  std::ranges::sort(out);
  return out;
}

cache::PosixFacts facts_from(const struct stat& facts) {
  cache::PosixFacts out;
  out.mode = facts.st_mode & 07777;
  out.mtime = facts.st_mtim;
  return out;
}

bool same_time(const std::optional<timespec>& a, const timespec& b) {
  return a && a->tv_sec == b.tv_sec && a->tv_nsec == b.tv_nsec;
}

// An entry of the grid that a copy of the local file would look like.
bool is_copy(const std::optional<Child>& child, std::uint64_t size,
             const std::optional<cache::PosixFacts>& facts) {
  if (!child || !facts || !facts->mtime || child->cap.is_directory()) return false;
  const auto there = child->metadata.posix();
  return there.kind == cache::PosixFacts::Kind::file && child->cap.size() == size &&
         same_time(there.mtime, *facts->mtime);
}

// A progress bar that counts for the whole tree.
class Quiet : public Progress {
 public:
  Quiet() : Progress("", false) {}
};

}  // namespace

Copier::Copier(Session& session, Progress& progress, std::function<void(const Error&)> report)
    : session_(session),
      progress_(progress),
      report_(std::move(report)),
      weight_(session.io().executor, all_weight),
      running_(session.io().executor) {}

bool Copier::went_well(Result<> result) {
  if (!result) report_(result.error());
  return result.has_value();
}

void Copier::done(std::uint64_t bytes) {
  ++files_;
  bytes_ += bytes;
  progress_.at(bytes_);
}

Task<Copier::Permit> Copier::permit_for(std::uint64_t bytes) {
  return weight_.acquire(bytes >= large_file ? weight_of_large : 1);
}

// --- to the grid

Task<> Copier::to_grid(stdfs::path from, Place to) {
  struct stat facts{};
  if (::lstat(from.c_str(), &facts) != 0) {
    report_(grid::system_error(errno, from, "read").error());
    co_return;
  }
  if (S_ISDIR(facts.st_mode)) {
    if (!to.exists()) {
      std::optional<cache::PosixFacts> all = facts_from(facts);
      auto made = co_await make_directory_at(session_, std::move(to), std::move(all));
      if (!made) {
        report_(made.error());
        co_return;
      }
      to = std::move(*made);
    }
    co_await directory_to_grid(std::move(from), std::move(to));
    co_return;
  }
  if (S_ISLNK(facts.st_mode)) {
    std::error_code error;
    const auto target = stdfs::read_symlink(from, error);
    if (error) {
      report_(grid::system_error(error.value(), from, "read").error());
      co_return;
    }
    auto all = facts_from(facts);
    all.kind = cache::PosixFacts::Kind::symlink;
    Cap literal(grid::LitCap{to_bytes(target.string())});
    if (to.child && to.child->cap == literal && to.child->metadata.posix().kind == all.kind) {
      ++skipped_;
      co_return;
    }
    auto linked = co_await link(std::move(to), std::move(literal), std::move(all));
    if (went_well(std::move(linked))) done(0);
    co_return;
  }
  auto source = open_local(session_.io(), from);
  if (!source) {
    report_(source.error());
    co_return;
  }
  if (is_copy(to.child, source->source.size, source->facts)) {
    ++skipped_;
    co_return;
  }
  auto permit = co_await permit_for(source->source.size);
  running_.spawn(put_file(std::move(permit), std::move(*source), std::move(to)));
}

Task<> Copier::directory_to_grid(stdfs::path from, Place to) {
  auto names = names_in(from);
  if (!names) {
    report_(names.error());
    co_return;
  }
  for (const auto& path : *names) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    auto name = path.filename().string();
    auto place = co_await place_in(session_, to, std::move(name));
    if (!place) {
      report_(place.error());
      continue;
    }
    co_await to_grid(path, std::move(*place));
  }
}

Task<> Copier::put_file([[maybe_unused]] Permit permit, LocalSource from, Place to) {
  Quiet quiet;
  const auto size = from.source.size;
  const auto text = to.text;
  auto stored = co_await store(session_, std::move(from), std::move(to), quiet);
  if (stored) {
    done(size);
  } else {
    report_(annotate(std::move(stored.error()), text).error());
  }
}

// --- to here

Task<> Copier::to_local(Place from, stdfs::path to) {
  return entry_to_local(std::move(from), std::move(to), {});
}

Task<> Copier::entry_to_local(Place from, stdfs::path to, std::vector<Cap> above) {
  const Entry entry{from.name, *from.cap, from.child, {}};
  const auto kind = kind_of(entry);
  const auto facts = from.child ? from.child->metadata.posix() : cache::PosixFacts{};
  if (kind == "directory") {
    if (contains(above, *from.cap)) {
      report_({Errc::symlink_loop, from.text + " contains itself"});
      co_return;
    }
    std::error_code error;
    stdfs::create_directory(to, error);
    if (error || !stdfs::is_directory(to, error)) {
      report_(grid::system_error(error ? error.value() : ENOTDIR, to, "create").error());
      co_return;
    }
    above.push_back(*from.cap);
    co_await directory_to_local(std::move(from), to, std::move(above));
    if (facts.mode) ::chmod(to.c_str(), (*facts.mode & 0777) | 0700);
    co_return;
  }
  struct stat there{};
  const bool exists = ::lstat(to.c_str(), &there) == 0;
  if (kind == "file" && exists && S_ISREG(there.st_mode) && facts.mtime &&
      from.cap->size() == static_cast<std::uint64_t>(there.st_size) &&
      same_time(facts.mtime, there.st_mtim)) {
    ++skipped_;
    co_return;
  }
  if (kind == "symlink") {
    std::error_code ignored;
    if (exists && S_ISLNK(there.st_mode) &&
        stdfs::read_symlink(to, ignored) == *link_target(entry)) {
      ++skipped_;
      co_return;
    }
    if (stdfs::is_symlink(to, ignored)) stdfs::remove(to, ignored);
    if (::symlink(link_target(entry)->c_str(), to.c_str()) != 0) {
      report_(grid::system_error(errno, to, "create").error());
    } else {
      done(0);
    }
    co_return;
  }
  if (kind != "file") {
    report_({Errc::unsupported, from.text + ": a " + kind + " is not copied"});
    co_return;
  }
  auto permit = co_await permit_for(from.cap->size().value_or(large_file));
  running_.spawn(get_file(std::move(permit), *from.cap, std::move(to), facts, from.text));
}

Task<> Copier::directory_to_local(Place from, stdfs::path to, std::vector<Cap> above) {
  auto directory = co_await directory_at(session_, from);
  if (!directory) {
    report_(directory.error());
    co_return;
  }
  for (auto& child : (*directory)->children()) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    // Names come from whoever wrote the directory: none may lead out of `to`.
    if (!went_well(check_local_name(child.name))) continue;
    Place place;
    place.text = from.text + "/" + child.name;
    place.parent = *directory;
    place.name = child.name;
    place.cap = child.cap;
    place.child = child;
    co_await entry_to_local(std::move(place), to / child.name, above);
  }
}

Task<> Copier::get_file([[maybe_unused]] Permit permit, Cap cap, stdfs::path to,
                        cache::PosixFacts facts, std::string text) {
  Quiet quiet;
  const auto size = cap.size().value_or(0);
  auto got = co_await fetch_to_file(session_, std::move(cap), std::move(to), facts, quiet);
  if (got) {
    done(size);
  } else {
    report_(annotate(std::move(got.error()), text).error());
  }
}

// --- within the grid

Task<> Copier::within_grid(Place from, Place to) {
  if (from.is_directory() &&
      (contains(to.above, *from.cap) || (to.cap && same_directory(*to.cap, *from.cap)))) {
    report_({Errc::bad_argument, "cannot copy " + from.text + " into itself"});
    co_return;
  }
  std::vector<Cap> none;
  co_await entry_within_grid(std::move(from), std::move(to), std::move(none));
}

Task<> Copier::entry_within_grid(Place from, Place to, std::vector<Cap> above) {
  if (!from.is_directory() && !from.cap->is_mutable() && to.cap == from.cap) {
    ++skipped_;
    co_return;
  }
  if (!from.is_directory()) {
    auto permit = co_await permit_for(from.cap->is_mutable() ? large_file : 0);
    running_.spawn(link_file(std::move(permit), std::move(from), std::move(to)));
    co_return;
  }
  if (contains(above, *from.cap)) {
    report_({Errc::symlink_loop, from.text + " contains itself"});
    co_return;
  }
  above.push_back(*from.cap);
  if (!to.exists()) {
    std::optional<cache::PosixFacts> facts;
    if (from.child) facts = from.child->metadata.posix();
    auto made = co_await make_directory_at(session_, std::move(to), std::move(facts));
    if (!made) {
      report_(made.error());
      co_return;
    }
    to = std::move(*made);
  }
  co_await directory_within_grid(std::move(from), std::move(to), std::move(above));
}

Task<> Copier::directory_within_grid(Place from, Place to, std::vector<Cap> above) {
  auto directory = co_await directory_at(session_, from);
  if (!directory) {
    report_(directory.error());
    co_return;
  }
  for (auto& child : (*directory)->children()) {
    const bool stop = co_await stop_requested();
    if (stop) co_return;
    auto place = co_await place_in(session_, to, child.name);
    if (!place) {
      report_(place.error());
      continue;
    }
    Place source;
    source.text = from.text + "/" + child.name;
    source.parent = *directory;
    source.name = child.name;
    source.cap = child.cap;
    source.child = child;
    co_await entry_within_grid(std::move(source), std::move(*place), above);
  }
}

Task<> Copier::link_file([[maybe_unused]] Permit permit, Place from, Place to) {
  const auto text = to.text;
  std::optional<cache::PosixFacts> facts;
  if (from.child) facts = from.child->metadata.posix();
  Result<> outcome;
  std::uint64_t size = from.cap->size().value_or(0);
  if (from.cap->is_mutable()) {
    // A copy must not change when the original does.
    auto contents = co_await session_.client().read(*from.cap);
    if (contents) {
      LocalSource source;
      size = contents->size();
      source.source = grid::memory_source(std::move(*contents));
      source.facts = std::move(facts);
      Quiet quiet;
      auto stored = co_await store(session_, std::move(source), std::move(to), quiet);
      if (!stored) outcome = std::unexpected(std::move(stored.error()));
    } else {
      outcome = std::unexpected(std::move(contents.error()));
    }
  } else {
    outcome = co_await link(std::move(to), *from.cap, std::move(facts));
  }
  if (outcome) {
    done(size);
  } else {
    report_(annotate(std::move(outcome.error()), text).error());
  }
}

}  // namespace lafs::cli
