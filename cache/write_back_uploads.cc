// SPDX-License-Identifier: Apache-2.0

// WriteBack: contents on their way to the grid.

#include "cache/background_pool.h"
#include "cache/background_put.h"
#include "cache/write_back.h"

namespace lafs::cache {

namespace {
constexpr std::uint64_t piece = 1 << 20;           // of old content that is fetched
constexpr std::uint64_t small_upload = 256 << 10;  // goes in one piece
constexpr std::uint64_t worth_streaming = 4u << 20;
constexpr std::size_t most_streams = 2;  // each has a pipeline of its own
}  // namespace

// A content that is being uploaded.
struct WriteBack::Upload {
  explicit Upload(asio::any_io_executor executor) : work(std::move(executor)) {}
  TaskGroup work;                     // one task, which fills in `cap`
  std::uint64_t done = 0, total = 0;  // bytes encoded and handed over for sending
  bool stoppable = true;
  bool outdated = false;  // what it brings is not the content any more
  Result<Cap> cap = fail(Errc::cancelled, "upload");
};

std::uint64_t WriteBack::sent_of(InodeNo number) const {
  auto it = uploads_.find(number);
  return it == uploads_.end() ? 0 : it->second->done;
}

// The content was changed, or nobody needs it any more.
void WriteBack::outdate(InodeNo number, bool removed) {
  auto it = uploads_.find(number);
  if (it == uploads_.end()) return;
  auto& upload = *it->second;
  if (!upload.stoppable || upload.outdated) return;
  // All of an earlier moment is as good as sent: better to have that on the grid than nothing.
  const bool nearly_there = upload.total > 0 && upload.done == upload.total;
  if (nearly_there && !removed) return;
  upload.outdated = true;
  upload.work.cancel();
}

Pool& WriteBack::background() {
  if (!background_) background_ = make_background_pool(client_.client().pool().threads());
  return *background_;
}

void WriteBack::expect(InodePtr inode, std::uint64_t size) {
  const bool fresh = inode->current_size() == 0 && !(inode->cap && inode->cap->is_mutable());
  if (!fresh || !inode->named() || size < worth_streaming || closing_ || queue_.away()) return;
  if (streams_.size() >= most_streams || streams_.contains(inode->number)) return;
  if (!stage(*inode)) return;  // who writes will be told why
  hold(*inode);                // until the end of run_stream()
  auto stream = std::make_shared<ContentStream>(executor_, client_, *inode->staged, size);
  streams_[inode->number] = stream;
  tasks_.spawn(run_stream(std::move(inode), std::move(stream)));
}

Task<> WriteBack::run_stream(InodePtr inode, std::shared_ptr<ContentStream> stream) {
  co_await stream->run();
  // What was sent as a whole stays until the upload that comes at the end takes it.
  if (auto it = streams_.find(inode->number);
      it != streams_.end() && it->second == stream && !stream->whole())
    streams_.erase(it);
  let_go(*inode);
  tree_.release(std::move(inode));
}

Task<> WriteBack::put(InodePtr inode, StagedFile& staged, Upload& upload) {
  upload.cap = co_await put_content(std::move(inode), staged, upload);
}

Task<Result<Cap>> WriteBack::put_content(InodePtr inode, StagedFile& staged, Upload& upload) {
  if (!inode->content) co_return fail(Errc::cancelled, "it was removed");
  // Old content that is needed is fetched before, so that the source never changes its mind.
  const auto base = inode->content->base;
  const auto existing = inode->cap;
  const auto size = staged.size();
  const auto version = staged.version();
  // A copy that was never changed is what it is a copy of.
  if (base && !base->is_mutable() && base->size() == size && staged.local().empty() &&
      staged.inherited_size() == size && !(existing && existing->is_mutable()))
    co_return *base;
  for (const auto& gap : staged.missing(0, size)) {
    if (!base) co_return fail(Errc::internal, "a new file misses content");
    for (auto at = gap.begin; at < gap.end; at += piece) {
      CO_TRY(old, co_await client_.read(*base, at, std::min(piece, gap.end - at)));
      CO_TRY_DO(staged.fill(at, old));
    }
  }
  if (existing && existing->is_mutable()) {  // stays the file it is, with other contents
    Bytes contents(size);
    CO_TRY_DO(staged.read(0, contents));
    CO_TRY_DO(co_await sync());  // before others see it
    upload.stoppable = false;    // some servers may have it
    CO_TRY_DO(co_await client_.overwrite(*existing, std::move(contents)));
    co_return *existing;
  }
  if (auto known = streams_.find(inode->number); known != streams_.end()) {
    const auto stream = std::move(known->second);
    streams_.erase(known);
    if (stream->whole()) {
      auto sent = co_await stream->cap();
      if (sent) co_return sent;
    }
    stream->spoil();  // shorter than it was said to be, or only a part of it so far
  }
  // The key is made of the content in a first pass, the shares in a second. A file that is written
  // between the two would get shares that its own later upload takes for the old content's.
  auto* from = &staged;
  auto read = [](WriteBack* self, StagedFile* file, std::uint64_t is, std::uint64_t at,
                 MutableBytes to) -> Task<Result<>> {
    if (file->size() > small_upload) co_await self->wait_for_turn();
    if (file->version() != is) co_return fail(Errc::busy, "it is written while it is uploaded");
    co_return file->read(at, to);
  };
  grid::Source source{.size = size,
                      .read = [this, read, from, version](std::uint64_t offset, MutableBytes out) {
                        return read(this, from, version, offset, out);
                      }};
  grid::Progress progress = [&upload](std::uint64_t done, std::uint64_t total) {
    upload.done = done;
    upload.total = total;
  };
  // What somebody waits for is hashed and encoded by the ordinary threads.
  const auto* job = queue_.find({Kind::content, inode->number});
  if ((job && job->urgent) || !client_.disk())
    co_return co_await client_.put(source, std::move(progress));
  co_return co_await put_in_background(client_, background(), source, std::move(progress));
}

Task<Result<>> WriteBack::upload(InodeNo number) {
  auto inode = tree_.share(number);
  if (!inode || !needs_upload(*inode)) co_return Result<>{};
  if (!inode->content) {  // created and never written
    CO_TRY_DO(commit({Stored{number, Cap(grid::LitCap{}), true}}));
    queue_.add({Kind::names, inode->parent}, 0, Clock::now(), true);
    co_return Result<>{};
  }
  hold(*inode);
  auto opened = stage(*inode);
  if (!opened) {
    let_go(*inode);
    co_return std::unexpected(std::move(opened).error());
  }
  auto& staged = *inode->staged;
  const auto version = staged.version();
  Upload upload(executor_);
  uploads_[number] = &upload;
  upload.work.spawn(put(inode, staged, upload));
  co_await upload.work.join();
  uploads_.erase(number);
  auto done = finish_upload(*inode, staged, version, upload);
  let_go(*inode);
  tree_.release(std::move(inode));
  co_return done;
}

Result<> WriteBack::finish_upload(Inode& inode, StagedFile& staged, std::uint64_t version,
                                  Upload& upload) {
  if (!inode.content) return {};  // removed meanwhile: nobody needs it
  const bool all = staged.version() == version;
  const Job job{Kind::content, inode.number};
  const auto now = Clock::now();
  if (upload.cap && inode.staged.get() == &staged && (all || inode.writers > 0)) {
    TRY_DO(commit({Stored{inode.number, *upload.cap, all}}));
    if (all) {
      staged.rebase();
      inode.stored_version = version;
      ++done_files_;
      done_bytes_ += staged.size();
      recent_.emplace_back(now, staged.size());
    }
  }
  const bool cut_short = !upload.cap && upload.outdated;
  if (!all || cut_short) {
    // It was no failure: there is something newer to be brought. While it is still being written
    // and nobody waits, that has time until it was left alone for a while.
    const auto* state = queue_.find(job);
    if (inode.writers > 0 && !(state && state->urgent))
      open_contents_.try_emplace(inode.number, OpenContent{now, now});
    else
      queue_.add(job, staged.size(), now, true);
  }
  if (upload.cap && inode.named()) queue_.add({Kind::names, inode.parent}, 0, now, true);
  if (!upload.cap && all && !cut_short) return std::unexpected(std::move(upload.cap).error());
  return {};
}

}  // namespace lafs::cache
