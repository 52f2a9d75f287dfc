// SPDX-License-Identifier: Apache-2.0
#pragma once

// One mutable file (or the file behind a mutable directory), SDMF or MDMF: read it, replace it,
// change it (spec/mutable 7).
//
// There is one object for each cap in a process; its operations run one after the other, in the
// order they were asked for, so writers of one process never collide. Writers of different
// processes do; every publish is test-and-set on every share, and who comes second is told so.
// I/O thread only. close() before destruction.

#include <functional>
#include <memory>
#include <set>

#include "grid/base/offload.h"
#include "grid/base/task.h"
#include "grid/caps/cap.h"
#include "grid/crypto/rsa.h"
#include "grid/mutable/encoding.h"
#include "grid/mutable/server_facts.h"
#include "grid/mutable/version.h"
#include "grid/storage/roster.h"

namespace lafs::grid {

// What every mutable file of a node shares. The referents outlive the files.
struct MutableContext {
  storage::Roster& roster;
  Pool& pool;
  Secret32 lease_secret;
  // Encoding of new files and of overwrite(); modify() keeps what the file has. 1 <= k <= n <= 255.
  std::uint64_t k = 3;
  std::uint64_t n = 10;
  // One request to one server; after that the server counts as gone for this operation.
  Duration deadline = std::chrono::seconds(20);
  // A first writer's wait after a collision; it grows and is jittered from there.
  Duration backoff = std::chrono::seconds(1);
  // How long a read that could finish still waits for the last silent servers, or one share for
  // another before a further one is asked for.
  Duration patience = std::chrono::milliseconds(500);
  // What servers said about their room; shared by all files. Null: they are asked each time.
  std::shared_ptr<ServerFacts> facts{};
};

struct MutableContents {
  VersionId version;
  std::shared_ptr<const Bytes> bytes;
};

struct MutablePart {
  VersionId version;
  std::uint64_t size = 0;  // of the whole file
  Bytes bytes;
};

class MutableFile {
 public:
  // A write or read cap of a file or directory; with any other every operation is Errc::bad_cap.
  MutableFile(asio::any_io_executor executor, MutableContext context, Cap cap);
  ~MutableFile();

  const Cap& cap() const;
  bool writable() const;

  // Publishes a new file under a fresh key pair and returns its write cap (of a file; see
  // Cap(object, true) for the directory form). Errors as for overwrite().
  static Task<Result<Cap>> create(asio::any_io_executor executor, MutableContext context,
                                  MutableFormat format, Bytes contents, RsaPrivateKey key);

  // The best version that can be read. not_found: no server knows a share of it;
  // not_enough_shares: fewer than k good shares of any version.
  Task<Result<MutableContents>> read();
  // Which version read() would return, without reading it: for checking what is cached.
  Task<Result<VersionId>> probe();

  // Replaces the contents whatever they are. read_only: we hold no write cap; collision: somebody
  // else published meanwhile, and whose version won is not known; no_servers, not_enough_shares:
  // fewer than k shares were written, the context says what each server answered.
  Task<Result<VersionId>> overwrite(Bytes contents);

  // `change` maps the present contents to new ones; null means no change. After a collision it is
  // called again with what is there then, at most `attempts` times in all, so it must be
  // repeatable. With large contents it runs on the pool. Its error ends the operation and is
  // returned.
  using Change = std::function<Result<std::shared_ptr<const Bytes>>(const MutableContents& old)>;
  Task<Result<VersionId>> modify(Change change, int attempts = 6);

  // Only a part; of MDMF files only what it takes is fetched. Past the end it is empty.
  Task<Result<MutablePart>> read_part(std::uint64_t offset, std::uint64_t length);

  // Changes a part: of MDMF files only the segments it touches are written, when all n shares are
  // there; else it is a modify().
  Task<Result<VersionId>> patch(Patch patch, int attempts = 6);

  // Makes the missing and damaged shares of the best version anew, byte for byte as they were, and
  // replaces older ones. Errc::conflict when another version is as new or newer: with `force` the
  // best one that can be read is published again above all of them. `damaged`: shares whose blocks
  // a check has found wrong, by server id.
  using Damaged = std::set<std::pair<std::string, ShareNo>>;
  Task<Result<VersionId>> repair(bool force, Damaged damaged = {});

  // No new operation starts; returns when those under way have ended.
  Task<> close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lafs::grid
