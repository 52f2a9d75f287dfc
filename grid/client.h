// SPDX-License-Identifier: Apache-2.0
#pragma once

// THE DOOR of grid: caps in, bytes out. Puts the rooms together for the servers of one roster and
// the secrets of one node. I/O thread only; the roster and the pool outlive it; close() it first.

#include <filesystem>
#include <list>
#include <map>
#include <memory>

#include "grid/base/offload.h"
#include "grid/caps/cap.h"
#include "grid/directory/directory.h"
#include "grid/immutable/immutable_file.h"
#include "grid/immutable/uploader.h"
#include "grid/mutable/key_pool.h"
#include "grid/mutable/mutable_file.h"
#include "grid/storage/check_report.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// What a grid has room for, as far as its servers say.
struct GridSpace {
  std::uint64_t available = 0;  // bytes of files, after erasure coding
  unsigned servers = 0;         // that answered
};

// How many bytes of files fit when every file puts its n shares on as many distinct servers as
// there are: the largest fill in which no server takes more than its space. Pure.
std::uint64_t usable_space(std::vector<std::uint64_t> available, const Encoding& encoding);

class Client {
 public:
  struct Options {
    Encoding encoding;
    Bytes convergence_secret;  // private/convergence
    Secret32 lease_secret;     // private/secret
    // Where RSA keys made ahead are kept, sealed, from one process to the next; empty: nowhere.
    std::filesystem::path spare_keys{};
  };

  Client(asio::any_io_executor executor, storage::Roster& roster, Pool& pool, Options options);
  ~Client();

  const Options& options() const { return options_; }
  // Of files and directories that are made from now on.
  void set_encoding(const Encoding& encoding) { options_.encoding = encoding; }
  storage::Roster& roster() { return roster_; }
  Pool& pool() { return pool_; }

  // Stores immutable content under its convergent key: LIT up to 55 bytes, else CHK. `source` is
  // read twice and must stay until the task ends. Errors as upload().
  Task<Result<Cap>> put(const Source& source, Progress progress = {});
  // The same under a random key: the upload begins before the source has ended, and a source that
  // can be read only once will do. Nobody else's equal file shares its shares.
  Task<Result<Cap>> put_random(const Source& source, Progress progress = {});

  // What every upload of this node stands on.
  UploadContext upload_context() const;

  // An immutable file's ciphertext, opened once for all who read it. Kept while it is used, and a
  // while after. Errc::bad_cap when the cap cannot be used.
  Task<Result<std::shared_ptr<ImmutableFile>>> immutable_file(ChkVerifyCap cap);

  // The one object of this process for a mutable file, whatever cap of it is given; the strongest
  // cap seen wins. Errc::bad_cap for other kinds.
  Result<std::shared_ptr<MutableFile>> mutable_file(const Cap& cap);
  // Publishes a new mutable file and returns its write cap.
  Task<Result<Cap>> create_mutable(MutableFormat format, Bytes contents);
  // RSA keys kept in store from now on, for whoever stays and will make directories.
  void keep_spare_keys(std::size_t count) { keys_.keep(count); }
  std::size_t spare_keys() const { return keys_.in_store(); }

  // A directory, mutable or immutable. Errc::not_directory when the cap is not one.
  Task<Result<std::shared_ptr<Directory>>> directory(Cap cap);
  // Publishes a directory that holds `children`, their metadata exactly as given, and returns its
  // write cap. `format`: nothing means SDMF.
  Task<Result<Cap>> create_directory(std::vector<Child> children = {},
                                     std::optional<MutableFormat> format = {});

  // Plaintext of any file: [offset, offset+length), cut at the end. Convenience for small reads;
  // who reads much goes through immutable_file().
  Task<Result<Bytes>> read(Cap cap, std::uint64_t offset = 0, std::uint64_t length = UINT64_MAX);
  // Bytes in a file; mutable ones are asked for.
  Task<Result<std::uint64_t>> size(Cap cap);

  // Of a mutable file: see grid/checker.h, which does it for every kind.
  Task<Result<CheckReport>> check_mutable(Cap cap, CheckOptions options);

  // Asks every server, in parallel.
  Task<Result<GridSpace>> space();

  Task<> close();

 private:
  MutableContext mutable_context();
  Task<> close_file(std::shared_ptr<ImmutableFile> file);
  Task<> close_mutable(std::shared_ptr<MutableFile> file);

  asio::any_io_executor executor_;
  storage::Roster& roster_;
  Pool& pool_;
  Options options_;
  KeyPool keys_;
  std::shared_ptr<ServerFacts> facts_ = std::make_shared<ServerFacts>();
  // Most recently used first. Files beyond the bound that nobody holds are closed.
  std::list<std::pair<StorageIndex, std::shared_ptr<ImmutableFile>>> immutable_;
  // Likewise.
  std::list<std::pair<StorageIndex, std::shared_ptr<MutableFile>>> mutable_;
  std::map<StorageIndex, decltype(mutable_)::iterator> mutable_at_;
  TaskGroup closing_;
};

}  // namespace lafs::grid
