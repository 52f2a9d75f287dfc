// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a MutableFile keeps. Only for the files of this room that are its body.

#include "grid/mutable/map_update.h"
#include "grid/mutable/mutable_file.h"
#include "grid/mutable/publish.h"
#include "grid/mutable/retrieve.h"

namespace lafs::grid {

std::vector<storage::KnownServer> servers_for(const storage::Roster& roster,
                                              const StorageIndex& si);
Error not_readable(const ServerMap& map, std::size_t servers);

struct MutableFile::State {
  State(asio::any_io_executor e, MutableContext c, Cap file_cap)
      : executor(e),
        context(std::move(c)),
        cap(std::move(file_cap)),
        turn(e, 1),
        gate(e),
        reports(e),
        signatures(fingerprint()) {
    if (const auto* write = cap.as<MutableWriteCap>()) {
      read_key = read_key_of(write->write_key);
    } else if (const auto* read = cap.as<MutableReadCap>()) {
      read_key = read->read_key;
    }
    si = mutable_storage_index_of(read_key);
  }

  Hash32 fingerprint() const {
    if (const auto* write = cap.as<MutableWriteCap>()) return write->fingerprint;
    if (const auto* read = cap.as<MutableReadCap>()) return read->fingerprint;
    return {};
  }
  bool writable() const { return cap.as<MutableWriteCap>() != nullptr; }
  MutableFormat format() const { return cap.as<MutableWriteCap>()->format; }

  Slot slot();
  MapSearch::Options search(MapMode mode, const Slot& at) const;
  Task<ServerMap> update(MapMode mode, const Slot& at);
  void learn(const ServerMap& map, const Slot& at);
  // Says, once for each, that a version newer than `best` cannot be read.
  void tell_of_lost(const ServerMap& map, const ServerMap::Version& best);

  Task<Result<MutableContents>> read();
  Task<Result<MutablePart>> read_part(std::uint64_t offset, std::uint64_t length);
  Task<Result<VersionId>> probe();
  Task<Result<VersionId>> overwrite(Bytes contents);
  // `patch`: what `change` does, when it can be done to a part of the file alone.
  Task<Result<VersionId>> modify(Change change, int attempts, const Patch* patch = nullptr);
  Task<Result<VersionId>> repair(bool force, Damaged damaged);

  Task<Result<>> need_keys(const Slot& at, const ServerMap& map);
  struct Attempt {
    VersionId id;
    Result<> outcome;
  };
  // One publish, and a second look when it is doubtful.
  Task<Attempt> attempt(const Slot& at, const ServerMap& map, std::uint64_t new_k,
                        std::uint64_t new_n, std::shared_ptr<const Bytes> contents);
  // The same of a part. Errc::unsupported: it cannot be done so, and nothing was written.
  Task<Attempt> attempt_patch(const Slot& at, ServerMap& map, ServerMap::Version base,
                              const Patch& patch);
  Task<Attempt> send(const Slot& at, const ServerMap& map, EncodedVersion encoded,
                     std::shared_ptr<const Bytes> contents);
  // A publish on top of our own last one; nothing when that cannot be built upon.
  Task<std::optional<Attempt>> build_on_last(const Slot& at, const Change& change);
  // The shares of a version that is there, byte for byte; nothing when they cannot be made so.
  Task<std::optional<EncodedVersion>> encode_again(const NewVersion& version,
                                                   ServerMap::Version old, const ServerMap& map,
                                                   const Bytes& contents);
  // The plaintext of `touched` after `patch`.
  Task<Result<Bytes>> patched(const Slot& at, ServerMap& map, ServerMap::Version base,
                              const MutableGeometry& now, SegmentRange touched, const Patch& patch);
  Task<> back_off(double& delay);
  Task<Result<std::shared_ptr<const Bytes>>> apply(const Change& change,
                                                   const MutableContents& present);

  asio::any_io_executor executor;
  MutableContext context;
  Cap cap;
  Limiter turn;  // one operation at a time, first come first served
  Gate gate;
  CorruptionReports reports;
  SignatureCheck signatures;
  Key16 read_key;
  StorageIndex si;
  std::optional<FileKeys> keys;       // once a share has shown the private key
  std::optional<std::uint64_t> k, n;  // of the version read last
  VersionId told_lost;                // by tell_of_lost()
  VersionId acknowledged;             // the last one that our caller was told is published
  // What servers held when they were asked last, by server id.
  std::map<std::string, std::set<ShareNo>, std::less<>> held;
  std::size_t share_size = 0;  // of the version seen last

  // Our own last publish, when it went everywhere: the next one can start from it without asking
  // anybody, since every write tests for it.
  struct Last {
    ServerMap map;
    ServerMap::Version version;
    std::weak_ptr<const Bytes> contents;
    std::shared_ptr<const Bytes> kept;  // the same when small; who uses a large one keeps it
    TimePoint until;
    // Whom the map's numbers mean: servers may have come and gone since.
    std::vector<std::string> servers;
  };
  std::optional<Last> last;
};

}  // namespace lafs::grid
