// SPDX-License-Identifier: Apache-2.0
#include "grid/server/mutable_journal.h"

#include <ctime>

#include "grid/base/log.h"
#include "grid/crypto/random.h"

namespace lafs::grid::storage {

namespace {

// A share that somebody wrote so long after the journal did was changed by another program (a Tahoe
// server on this directory, say) since: that change is the newer one.
constexpr std::int64_t newer_by = 600;
constexpr std::uint64_t longest_journal = 16 << 20;  // then it is settled
constexpr auto settle_interval = std::chrono::seconds(5);
constexpr std::size_t most_in_group = 64;
constexpr std::size_t largest_file = 256 << 20;  // of a journal; a longer one is not ours

std::filesystem::path journal_path(const ShareTree& tree, std::size_t half) {
  return tree.root() / ("lafs-mutable.journal." + std::to_string(half));
}

// The share is this. With `lasting`, also after a power cut, without a journal's help.
Result<> replace(Disk& disk, const ShareTree& tree, const ShareImage& image, bool lasting) {
  const auto next = tree.next_share(image.si, image.number);
  auto created = disk.create(next);
  if (!created && created.error().code == Errc::not_found) {
    TRY_DO(disk.make_directories(tree.shares(), tree.bucket(image.si), lasting));
    created = disk.create(next);
  }
  TRY(file, std::move(created));
  auto done = disk.write(file, 0, image.file);
  if (done && lasting) done = disk.sync(file);
  if (done) done = disk.rename(next, tree.share(image.si, image.number));
  if (!done) {
    (void)disk.remove(next);
    return done;
  }
  return lasting ? disk.sync_directory(tree.bucket(image.si)) : Result<>{};
}

// The share is this, in the end: what a kill leaves half written, the journal puts right. Writing
// over the old file costs a third of what giving a new one its name does.
// With an error the share is as it was, or `torn`.
Result<> overwrite(Disk& disk, const ShareTree& tree, const ShareImage& image, bool& torn) {
  auto file = File::open(tree.share(image.si, image.number), true);
  if (!file && file.error().code == Errc::not_found) return replace(disk, tree, image, false);
  if (!file) return std::unexpected(std::move(file).error());
  TRY(size, file->size());  // the image is never shorter
  if (image.file.size() > size) TRY_DO(disk.reserve(*file, size, image.file.size() - size));
  if (disk.write(*file, 0, image.file)) return {};
  auto anew = replace(disk, tree, image, false);
  torn = !anew;
  return anew;
}

bool changed_since(const ShareTree& tree, const ShareImage& image, std::int64_t time) {
  const auto share = File::open(tree.share(image.si, image.number));
  if (!share) return false;
  const auto modified = share->modified();
  return modified && *modified > time + newer_by;
}

// Nothing in the file counts any more.
Result<> empty_journal(Disk& disk, const File& file) {
  TRY_DO(disk.write(file, 0, Bytes(journal_head_size)));
  return disk.sync(file);
}

Result<> replay_journal(Disk& disk, const ShareTree& tree, const Journal& journal) {
  std::size_t shares = 0;
  for (const auto& record : journal.records) {
    for (const auto& image : record.images) {
      if (changed_since(tree, image, record.time)) continue;
      TRY_DO(replace(disk, tree, image, true));
      ++shares;
    }
  }
  log::info("shares put right from the journal", {{"changes", std::uint64_t{shares}}});
  return {};
}

}  // namespace

Result<> MutableJournal::replay(Disk& disk, const ShareTree& tree) {
  std::vector<std::pair<Journal, File>> journals;
  for (std::size_t half = 0; half < 2; ++half) {
    auto file = File::open(journal_path(tree, half), true);
    if (!file && file.error().code == Errc::not_found) continue;
    if (!file) return std::unexpected(std::move(file).error());
    TRY(size, file->size());
    if (size > largest_file) return fail(Errc::corrupt, file->path().string() + ": not a journal");
    Bytes all(static_cast<std::size_t>(size));
    TRY_DO(file->read_exactly(0, all));
    if (auto journal = parse_journal(all))
      journals.emplace_back(std::move(*journal), std::move(*file));
  }
  std::ranges::sort(journals, {}, [](const auto& j) { return j.first.number; });
  for (const auto& [journal, file] : journals) TRY_DO(replay_journal(disk, tree, journal));
  for (const auto& [journal, file] : journals) TRY_DO(empty_journal(disk, file));
  return {};
}

Result<std::unique_ptr<MutableJournal>> MutableJournal::open(asio::any_io_executor executor,
                                                             Pool& pool, Disk& disk,
                                                             const ShareTree& tree,
                                                             std::uint64_t growth) {
  const auto open_half = [&](std::size_t half) -> Result<Half> {
    const auto path = journal_path(tree, half);
    auto file = File::open(path, true);
    if (!file && file.error().code == Errc::not_found) file = disk.create(path);
    TRY(opened, std::move(file));
    TRY(size, opened.size());
    return Half{std::move(opened), size};
  };
  TRY(first, open_half(0));
  TRY(second, open_half(1));
  TRY_DO(disk.sync_directory(tree.root()));
  return std::unique_ptr<MutableJournal>(new MutableJournal(
      std::move(executor), pool, disk, tree, growth, std::move(first), std::move(second)));
}

MutableJournal::MutableJournal(asio::any_io_executor executor, Pool& pool, Disk& disk,
                               const ShareTree& tree, std::uint64_t growth, Half first, Half second)
    : executor_(executor),
      pool_(pool),
      disk_(disk),
      tree_(tree),
      growth_(growth),
      halves_{std::move(first), std::move(second)},
      writing_(executor, 1),
      settling_(executor, 1),
      hurry_(executor),
      background_(executor) {}

bool MutableJournal::holds(const StorageIndex& si) const {
  return halves_[0].held.contains(si) || halves_[1].held.contains(si);
}

Task<Result<>> MutableJournal::put(std::vector<ShareImage> images) {
  if (broken_) co_return std::unexpected(*broken_);
  auto mine = std::make_shared<Waiting>(executor_, std::move(images));
  queue_.push_back(mine);
  if (!writing_groups_) {
    writing_groups_ = true;
    background_.spawn(write_groups());
  }
  // Whoever asked may go away meanwhile; the change is made all the same.
  while (!mine->outcome) co_await mine->done.wait_shielded();
  co_return std::move(*mine->outcome);
}

Task<> MutableJournal::write_groups() {
  while (!queue_.empty()) {
    auto then = Then::go_on;
    Group group;
    {
      const auto turn = co_await writing_.acquire();
      Half& half = halves_[current_];
      while (!queue_.empty() && group.size() < most_in_group) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
        for (const auto& image : group.back()->images) half.held.insert(image.si);
      }
      if (!half.writer) half.writer.emplace(++number_, random_array<journal_salt_size>());
      auto job = [&] { return write_group(half, group); };
      then = co_await offload(pool_, std::ref(job));
      if (then == Then::stop) stop_for({Errc::io, "a share is half written"});
      if (half.end > longest_journal) hurry_.notify();
    }
    if (then == Then::settle) (void)co_await settle();
    for (const auto& waiting : group) waiting->done.notify();
    if (!settling_in_time_) {
      settling_in_time_ = true;
      background_.spawn(settle_in_time());
    }
    // Only when settling takes longer than filling the other journal.
    if (halves_[current_].end > 4 * longest_journal) (void)co_await settle();
  }
  writing_groups_ = false;
}

MutableJournal::Then MutableJournal::write_group(Half& half, const Group& group) {
  auto recorded = record_group(half, group);
  if (!recorded) {
    for (const auto& waiting : group) waiting->outcome = recorded;
    return Then::settle;
  }
  bool good = true;
  bool torn = false;
  for (const auto& waiting : group) {
    Result<> done;
    for (const auto& image : waiting->images) {
      if (done) done = overwrite(disk_, tree_, image, torn);
    }
    good = good && done;
    waiting->outcome = std::move(done);
  }
  return torn ? Then::stop : good ? Then::go_on : Then::settle;
}

Result<> MutableJournal::record_group(Half& half, const Group& group) {
  const auto begin = half.end;
  Bytes out;
  if (begin == 0) out = half.writer->head();
  for (const auto& waiting : group) {
    half.writer->append_record(out, std::time(nullptr), waiting->images);
  }
  half.end += out.size();
  // A file that grows needs more than its data synced, so it grows in steps.
  const auto size = out.size();
  if (half.end > half.size) {
    half.size = (half.end + growth_ - 1) / growth_ * growth_;
    out.resize(static_cast<std::size_t>(half.size - begin));
  }
  auto written = disk_.write(half.file, begin, out);
  if (!written && written.error().code == Errc::no_space && out.size() > size) {
    half.size = half.end;  // no room for more than there is to say
    written = disk_.write(half.file, begin, ByteView(out).first(size));
  }
  TRY_DO(std::move(written));
  return disk_.sync(half.file);
}

void MutableJournal::stop_for(Error error) {
  log::error(
      "changes of mutable shares cannot be made to last; restart the server when the disk is "
      "in order: " +
      error.message());
  broken_ = std::move(error);
}

Task<> MutableJournal::settle_in_time() {
  while (!closing_ && !broken_ && (halves_[0].end > 0 || halves_[1].end > 0)) {
    co_await hurry_.wait(Clock::now() + settle_interval);
    if (!closing_) (void)co_await settle();
  }
  settling_in_time_ = false;
}

Task<Result<>> MutableJournal::settle() {
  const auto one = co_await settling_.acquire();
  if (broken_) co_return std::unexpected(*broken_);
  Half* old = nullptr;
  {
    const auto turn = co_await writing_.acquire();
    old = &halves_[current_];
    if (old->end == 0) co_return Result<>{};
    current_ ^= 1;
  }
  auto job = [&]() -> Result<> {
    TRY_DO(disk_.sync_all(tree_.shares()));
    return empty_journal(disk_, old->file);
  };
  auto done = co_await offload(pool_, std::ref(job));
  if (!done) {
    broken_ = done.error();
    log::error(
        "changes of mutable shares cannot be made to last; restart the server when the disk "
        "is in order: " +
        done.error().message());
    co_return done;
  }
  old->end = 0;
  old->writer.reset();
  old->held.clear();
  co_return Result<>{};
}

Task<> MutableJournal::close() {
  closing_ = true;
  hurry_.notify();
  co_await background_.join();
  (void)co_await settle();
}

}  // namespace lafs::grid::storage
