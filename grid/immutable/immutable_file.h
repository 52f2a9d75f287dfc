// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads one immutable file from the grid, as ciphertext, a segment at a time (spec/immutable 9).
// Any k of n good shares suffice, wherever they are; every byte given out is proven by the cap. A
// server that is slow is hedged with another one, one that lies is told so and avoided.
//
// Owned by whoever reads the file, on the I/O thread; close() before it goes away.

#include <map>
#include <memory>

#include "grid/immutable/share_finder.h"
#include "grid/immutable/share_reader.h"

namespace lafs::grid {

struct DownloadLimits {
  ChooserLimits chooser;
  FinderLimits finder;
  ReadLimits read;
};

ChkVerifyCap verifier_of(const ChkCap& cap);

class ImmutableFile {
 public:
  // `roster` and `pool` outlive this.
  ImmutableFile(asio::any_io_executor executor, const storage::Roster& roster, Pool& pool,
                ChkVerifyCap cap, DownloadLimits limits = {});
  ~ImmutableFile();
  ImmutableFile(const ImmutableFile&) = delete;
  ImmutableFile& operator=(const ImmutableFile&) = delete;

  const ChkVerifyCap& cap() const { return hashes_.cap(); }
  // As the uploader wrote it; known once geometry() has succeeded.
  const Bytes& ueb() const { return hashes_.ueb(); }

  // The sizes, once one share has proven them. `near`: a byte of the file that is wanted next; what
  // is read for it comes along. Errc::bad_cap for a cap that no file can have.
  Task<Result<Geometry>> geometry(std::uint64_t near = 0);
  // The ciphertext of one segment, without padding. Callers that want the same segment share one
  // fetch. Errc::not_enough_shares says what was found where, and what was wrong with it.
  Task<Result<std::shared_ptr<const Bytes>>> segment(SegmentNo number);
  // Ends what is under way (its callers get Errc::closed). Once.
  Task<> close();

 private:
  using Segment = std::shared_ptr<const Bytes>;
  struct Flight;

  ShareReader& reader(ShareId id);
  // Those that have waited for too long stop counting, and so do their servers; before that, others
  // are roused.
  void check_overdue(SegmentFetch& fetch);
  Task<> rouse(ShareId id);
  void learn(ShareId id, SegmentFetch& fetch, TimePoint begin, const Result<>& outcome);
  void report(ShareId id, const Error& error);
  Task<> send_report(ShareId id, std::string reason);
  // Nothing more can come: neither a request is under way nor a server to be asked.
  bool hopeless(const SegmentFetch& fetch) const { return fetch.idle() && finder_.exhausted(); }
  std::unexpected<Error> not_enough(std::string_view what) const;

  Task<> look_for_geometry();
  Task<> prepare_share(ShareId id, std::shared_ptr<SegmentFetch> fetch, std::uint64_t near);
  Task<> fly(std::shared_ptr<Flight> flight);
  Task<Result<Segment>> fetch(Flight& flight);
  Task<> fetch_block(ShareId id, Flight& flight);
  Task<Result<Segment>> decode(Flight& flight);

  asio::any_io_executor executor_;
  Pool& pool_;
  DownloadLimits limits_;
  FileHashes hashes_;
  ShareChooser chooser_;
  Signal news_;  // something about shares, servers or requests has changed
  ShareFinder finder_;
  std::map<ShareId, std::unique_ptr<ShareReader>> readers_;
  std::set<ShareId> reported_;
  TimePoint rouse_again_{};
  std::map<SegmentNo, std::shared_ptr<Flight>> flights_;
  bool looking_ = false;  // for the geometry
  std::uint64_t near_ = 0;
  std::optional<Error> geometry_error_;
  std::uint64_t geometry_rounds_ = 0;  // searches that have ended
  bool closing_ = false;
  Gate gate_;
  TaskGroup tasks_;
};

}  // namespace lafs::grid
