// SPDX-License-Identifier: Apache-2.0
#pragma once

// One file's content while it is being written: a sparse local file, encrypted in place
// (AES-128-XTS, 4 KiB sectors, a random key for each file; docs/formats/staging.md). A nameless one
// (create()) leaves nothing behind; those of a Staging have a name and can be opened again with the
// key, sizes and ranges that their owner remembers in (sealed) journal records.
//
// Calls are inline: they touch the page cache, not the network. I/O thread only.

#include <cstdint>
#include <memory>
#include <string>

#include "cache/disk.h"
#include "cache/disk_budget.h"
#include "cache/journal.h"
#include "cache/sealer.h"
#include "grid/base/bytes.h"
#include "grid/base/ranges.h"
#include "grid/base/result.h"
#include "grid/crypto/secret.h"

namespace lafs::cache {

// Names a file of a Staging; never used twice.
using StagedId = std::uint64_t;
using StagedKey = grid::Secret<32>;

class StagedFile {
 public:
  // Nameless, in `directory`, which exists. `size`: how long the content is taken to be; nothing
  // of it is local yet.
  static Result<std::unique_ptr<StagedFile>> create(const std::string& directory,
                                                    std::uint64_t size);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  StagedId id() const { return id_; }  // 0 for a nameless one
  const StagedKey& key() const;

  std::uint64_t size() const { return size_; }
  // Which bytes are here. The others come from the content that is being changed, up to
  // inherited_size(), and are zero after it.
  const RangeSet& local() const { return local_; }
  std::uint64_t inherited_size() const { return inherited_size_; }
  // Goes up with every change: tells an uploader whether what it sent is still the content.
  std::uint64_t version() const { return version_; }

  // Errc::no_space or Errc::io; what was there before is then still there.
  Result<> write(std::uint64_t offset, ByteView data);
  // A fetched part of the old content. Never overwrites what is local already. Not journaled: after
  // a restart it is fetched again.
  Result<> fill(std::uint64_t offset, ByteView data);
  // Shrinks or grows; the new part reads as zeros, also after shrinking before. The disk keeps what
  // was cut off until trim().
  void truncate(std::uint64_t size);
  // Every byte of the range is local or past inherited_size(); those read as zeros.
  Result<> read(std::uint64_t offset, MutableBytes out) const;
  // Parts of [offset, offset+length) that must be fetched from the old content before a read().
  std::vector<ByteRange> missing(std::uint64_t offset, std::uint64_t length) const;

  // Makes a range read as zeros without holding it (a punched hole).
  Result<> zero(std::uint64_t offset, std::uint64_t length);
  // All of it is now in the content that missing bytes come from as well.
  void rebase() { inherited_size_ = size_; }
  // The first `size` bytes, which is all of it, now come from the content that missing bytes come
  // from. Only while nothing is local.
  void inherit(std::uint64_t size) {
    ++version_;
    size_ = inherited_size_ = size;
  }
  // Gives back the disk's space of what is not local. After the record of the truncation that made
  // it so is synced: a crash before that needs the old bytes.
  Result<> trim();

 private:
  friend class Staging;
  struct Cipher;
  StagedFile(std::shared_ptr<DiskFile> file, std::unique_ptr<Cipher> cipher, std::uint64_t size);
  Result<> store(std::uint64_t offset, ByteView data);
  Result<> charge(ByteRange more);
  Result<> load_sector(std::uint64_t sector, std::uint8_t* out) const;

  std::unique_ptr<Disk> own_disk_;  // of a nameless one
  std::shared_ptr<DiskFile> file_;
  std::shared_ptr<Journal::Dirty> dirty_;  // null for a nameless one
  std::shared_ptr<DiskBudget> budget_;     // the same
  StagedId id_ = 0;
  std::uint64_t size_;
  std::uint64_t inherited_size_;
  std::uint64_t version_ = 1;
  RangeSet local_;
  RangeSet charged_;  // whole sectors that the budget knows of
  std::unique_ptr<Cipher> cipher_;
};

// The directory of named staging files.
class Staging {
 public:
  struct Options {
    std::string directory;  // made when it is not there, 0700
    grid::Secret32 node_secret;
    DiskBudget::Options budget;
  };
  // `dirty`: of the journal whose records speak of the files.
  static Result<std::unique_ptr<Staging>> open(Disk& disk, std::shared_ptr<Journal::Dirty> dirty,
                                               Options options);

  // `label`: what it is, for salvage(), sealed like the key in the file's first page.
  Result<std::unique_ptr<StagedFile>> create(std::uint64_t size, std::string_view label = {});
  // What the owner remembers of a file.
  struct Memory {
    StagedId id = 0;
    StagedKey key;
    std::uint64_t size = 0;
    std::uint64_t inherited_size = 0;
    RangeSet local;
  };
  static Memory memory_of(const StagedFile& file);
  // Errc::not_found when the file is gone, corrupt when it is shorter than its ranges say. Charged
  // to the budget.
  Result<std::unique_ptr<StagedFile>> reopen(const Memory& memory);
  // It was there before this process: its bytes count. Its file is not opened.
  void keep(const Memory& memory);
  // A file that nobody remembers, because the store or the journal was damaged: what its first page
  // and its blocks tell. The size is a whole number of sectors. Errc::corrupt, not_found.
  struct Salvaged {
    Memory memory;
    std::string label;
  };
  Result<Salvaged> salvage(StagedId id);
  // Removes the file, open or not. Nothing of it is needed once the records that say so are synced.
  Result<> remove(StagedId id);
  // How many more emptied files are of use to create(): making one anew costs the filesystem more.
  std::size_t spares_wanted() const;
  // Instead of remove(): empties the file and puts it aside; add_spare() then says so. Any thread,
  // and nobody has it open.
  Result<> empty(StagedId id);
  void add_spare(StagedId id);
  // All that are there: after replay, those that nobody remembers are removed; or set aside, when
  // what should remember them was damaged.
  Result<std::vector<StagedId>> ids() const;
  // Moves the file to the folder of those that `lafs rescue` looks through.
  Result<> set_aside(StagedId id);
  std::string aside() const { return options_.directory + "/rescued"; }

  DiskBudget& budget() { return *budget_; }

 private:
  Staging(Disk& disk, std::shared_ptr<Journal::Dirty> dirty, Options options);
  std::string path_of(StagedId id) const;
  std::string spare_path(StagedId id) const;
  Result<std::shared_ptr<DiskFile>> open_spare(const std::string& path);
  Disk& disk_;
  std::shared_ptr<Journal::Dirty> dirty_;
  Options options_;
  std::shared_ptr<DiskBudget> budget_;
  StagedId next_id_ = 1;
  Sealer sealer_;
  std::vector<StagedId> spares_;  // the last ids of files that are empty now
};

}  // namespace lafs::cache
