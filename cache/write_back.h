// SPDX-License-Identifier: Apache-2.0
#pragma once

// THE WRITE PATH of one node directory: a change is in the journal and in the tree when commit()
// returns, and reaches the grid later, whatever happens to this process. Owns tree, journal,
// staging files and the upload queue. One process at a time has it (a lock on the journal).
//
// I/O thread only. The client outlives it; close() it first.

#include <deque>
#include <functional>
#include <list>
#include <memory>

#include "cache/cached_client.h"
#include "cache/content_stream.h"
#include "cache/pace.h"
#include "cache/pending.h"
#include "cache/tree.h"
#include "cache/upload_queue.h"

namespace lafs::cache {

class WriteBack {
 public:
  struct Options {
    std::string directory;  // made when it is not there
    grid::Secret32 node_secret;
    std::string host;  // in the names of what had to be kept beside another writer's
    UploadQueue::Limits limits;
    DiskBudget::Options budget;
    std::uint64_t checkpoint_bytes = 16u << 20;  // of journal
    std::uint64_t segment_bytes = 8u << 20;      // of one of its files
    // A file that stays open is uploaded when it was left alone for `idle`, or after `latest`.
    Duration idle = std::chrono::seconds(10), latest = std::chrono::minutes(10);
  };

  // Reads what an earlier process left and starts to bring it to the grid. Errc::busy when another
  // process has the directory. `disk` outlives it.
  static Result<std::unique_ptr<WriteBack>> open(asio::any_io_executor executor,
                                                 CachedClient& client, Disk& disk, Options options);
  ~WriteBack();

  Tree& tree() { return tree_; }
  // In the journal, then in the tree. On an error nothing has changed.
  Result<> commit(const Record& record);
  // Until everything committed so far lasts.
  Task<Result<>> sync();

  // No loss of power can take anything committed so far.
  bool lasting() const { return journal_->last_synced() == journal_->last(); }

  // --- content. An inode is held while somebody uses its staging file.
  void hold(Inode& inode) { ++inode.opens; }
  void let_go(Inode& inode);
  // Opens or makes the staging file, for an inode that is held. `base`: see Tree.
  Result<> stage(Inode& inode);
  // Both journaled when the inode has a name. `base` is what the snapshot has under it.
  // `offset` absent: at the end.
  Task<Result<>> write(InodePtr inode, std::optional<std::uint64_t> offset, ByteView data,
                       std::optional<Cap> base);
  Result<> truncate(Inode& inode, std::uint64_t size, const std::optional<Cap>& base);
  // Bytes of content that may still be written before the disk is full.
  std::uint64_t room() { return staging_->budget().available(); }
  // Makes a range read as zeros; the size stays. False when the file is in too many pieces to say
  // so: then write them.
  Result<bool> zero(Inode& inode, std::uint64_t offset, std::uint64_t length,
                    const std::optional<Cap>& base);
  // The first `size` bytes of `source`, immutable content of the grid, become all there is: no byte
  // is moved. `from`: what was taken over already. False when there is something else.
  Result<bool> adopt(Inode& inode, const Cap& source, std::uint64_t from, std::uint64_t size,
                     const std::optional<Cap>& base);
  // Closed or synced: what is there is to be uploaded.
  void finish(Inode& inode);
  // So many bytes are about to be written to a file that is empty and open, from front to back:
  // they may go to the grid as they come.
  void expect(InodePtr inode, std::uint64_t size);

  // So many requests of people were served: uploads leave the machine to them.
  void used(unsigned requests) { pace_.used(requests, Clock::now()); }

  // --- waiting for the grid
  // Until content and name of an inode, and the names above it, are there; an attempt's error when
  // one fails meanwhile.
  Task<Result<>> on_grid(InodePtr inode);
  enum class OnError : std::uint8_t { keep_trying, give_up };
  // Until nothing below `scope` (0: at all), nor its own name, is on its way. give_up: as soon as
  // everything that is left has failed once more.
  Task<Result<>> flush(InodeNo scope, TimePoint deadline, OnError on_error);
  PendingReport pending(std::size_t most_items = 100) const;
  // "clean", "dirty", "uploading" or "stuck: why".
  std::string state_of(const Inode& inode) const;

  // Told when a name became another one because somebody else's content has it now.
  using Renamed = std::function<void(InodeNo directory, const std::string& from, Inode& inode)>;
  void listen(const void* who, Renamed renamed) { listeners_[who] = std::move(renamed); }
  void unlisten(const void* who) { listeners_.erase(who); }

  // What is acknowledged lasts when this returns; what is not on the grid yet is found at the next
  // open(). Once.
  Task<Result<>> close();

 private:
  using Job = UploadQueue::Job;
  using Kind = UploadQueue::Kind;

  WriteBack(asio::any_io_executor executor, CachedClient& client, Options options);
  Result<> recover(Disk& disk);
  void queue_all();
  void note(const Record& record);
  Task<> run();
  Task<> run_job(Job job);
  struct Upload;
  Task<Result<>> upload(InodeNo number);
  Task<> put(InodePtr inode, StagedFile& staged, Upload& upload);
  Task<Result<Cap>> put_content(InodePtr inode, StagedFile& staged, Upload& upload);
  Result<> finish_upload(Inode& inode, StagedFile& staged, std::uint64_t version, Upload& upload);
  void outdate(InodeNo number, bool removed);
  Task<> run_stream(InodePtr inode, std::shared_ptr<ContentStream> stream);
  template <class Change>
  void change_stream(InodeNo number, Change change);
  std::uint64_t sent_of(InodeNo number) const;
  Pool& background();
  Metadata metadata_of(const Inode& inode) const;
  std::vector<Child> first_children(const Inode& directory, std::vector<Tree::Outcome>& outcomes);
  // What a publish leaves for later, because it cannot be done, and the last reason.
  struct LeftOut {
    Tree::NameSet names;
    std::optional<Error> why;
  };
  // What the grid has in the directories that are to be removed: the version of those that are
  // empty, nothing for those that somebody else has put something into.
  using Emptied = std::map<std::string, std::optional<grid::VersionId>>;
  Task<Result<grid::Listing>> list(Cap cap);
  Task<Emptied> look_into_removed(InodeNo directory, LeftOut& left_out);
  struct Batch {
    std::vector<grid::Edit> edits;
    std::vector<Tree::Outcome> outcomes;
    std::vector<std::size_t> of;  // which outcome each edit belongs to
  };
  Batch batch_for(const Inode& directory, const Emptied& emptied, const LeftOut& left_out);
  Task<Result<>> note_attempt(InodeNo directory, const std::vector<Tree::Outcome>& outcomes);
  // One publish of a batch. False when an edit of it could not be done, which is left out now.
  Task<Result<bool>> publish_batch(Inode& directory, CachedDirectory& on_grid, Batch& batch,
                                   LeftOut& left_out);
  void note_conflicts(const Inode& directory, const std::vector<grid::Conflict>& conflicts,
                      Batch& batch);
  Task<> look_after(InodePtr directory, std::vector<Tree::Outcome> outcomes);
  Task<Result<>> bring_back(InodePtr directory, std::vector<Tree::Outcome> outcomes);
  Task<Result<>> link_again(InodePtr directory);
  Result<> settle(Inode& directory, const std::vector<Tree::Outcome>& outcomes);
  Result<> forget_names(InodeNo directory);
  Task<Result<>> make_directory(InodeNo number);
  Task<Result<>> publish(InodeNo number);
  Task<> checkpoint();
  static bool needs_upload(const Inode& inode);
  // Staged bytes, size or base changed in a way that no other record says.
  Result<> commit_content(Inode& inode, const std::optional<Cap>& source,
                          const std::optional<Cap>& base);
  void finish_idle(TimePoint now);
  void discard(StagedId id);
  void reap();
  void trim_later(const Inode& inode);
  void trim(InodeNo number);
  Task<> remove_staged(std::vector<StagedId> ids);
  // Somebody waits, or room runs out: no time to be polite.
  bool hurries() const { return in_a_hurry_ > 0 || staging_->budget().pressure() > 0; }
  Task<> wait_for_turn();
  bool below(InodeNo inode, InodeNo scope) const;
  std::vector<Job> jobs_for(const Inode& inode) const;

  asio::any_io_executor executor_;
  CachedClient& client_;
  Options options_;
  Tree tree_;
  UploadQueue queue_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<Store> store_;
  std::vector<Store::Change> unsaved_;  // of a checkpoint that failed
  struct Discarded {
    Sequence after;  // once this record lasts
    StagedId id;
  };
  std::deque<Discarded> discarded_;
  // Staging files with blocks that nothing needs once this record lasts.
  std::map<InodeNo, Sequence> to_trim_;
  struct OpenContent {
    TimePoint since, last_write;
  };
  std::map<InodeNo, OpenContent> open_contents_;  // changed, and still open for writing
  std::map<InodeNo, Upload*> uploads_;            // that run
  std::unique_ptr<Pool> background_;      // for those that nobody waits for; when there was one
  std::set<InodeNo> waiting_for_others_;  // directories with names that wait for another's
  std::map<const void*, Renamed> listeners_;
  std::vector<std::string> warnings_;
  std::uint64_t done_files_ = 0, done_bytes_ = 0, done_publishes_ = 0, conflicts_ = 0;
  std::deque<std::pair<TimePoint, std::uint64_t>> recent_;  // uploads, for the speed
  Pace pace_;
  unsigned in_a_hurry_ = 0;  // who waits for the grid
  bool removing_ = false;    // staging files
  bool checkpointing_ = false;
  bool closing_ = false;
  Signal wake_;     // for run()
  Signal changed_;  // something became clean, or failed
  TaskGroup tasks_;
  std::map<InodeNo, std::shared_ptr<ContentStream>> streams_;  // of files that are being written
};

}  // namespace lafs::cache
