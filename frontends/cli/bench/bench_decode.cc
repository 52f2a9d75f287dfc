// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_decode.h"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>

#include "frontends/cli/bench/measure.h"
#include "grid/caps/keys.h"
#include "grid/crypto/random.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/chk_stream.h"
#include "grid/immutable/encode_pipeline.h"

namespace lafs::cli {
namespace {

using grid::ShareNo;
using grid::StorageIndex;
namespace storage = grid::storage;

constexpr std::size_t kFile = std::size_t{32} << 20;

// A server that has one share, in memory, and does nothing else.
class OneShare : public storage::Server {
 public:
  OneShare(ShareNo number, std::shared_ptr<const Bytes> share)
      : number_(number), share_(std::move(share)) {}

  Task<Result<std::set<ShareNo>>> list(storage::ShareKind, StorageIndex) override {
    co_return std::set{number_};
  }
  Task<Result<Bytes>> read(storage::ShareKind, StorageIndex, ShareNo, std::uint64_t offset,
                           std::uint64_t length) override {
    const auto from = std::min<std::uint64_t>(offset, share_->size());
    const auto size = std::min<std::uint64_t>(length, share_->size() - from);
    co_return to_bytes(ByteView(*share_).subspan(from, size));
  }

  Task<Result<storage::ServerVersion>> version() override { return no<storage::ServerVersion>(); }
  Task<Result<>> add_lease(StorageIndex, grid::LeaseSecrets) override { return no<void>(); }
  Task<Result<storage::Allocation>> allocate(StorageIndex, std::set<ShareNo>, std::uint64_t,
                                             grid::LeaseSecrets, storage::UploadSecret) override {
    return no<storage::Allocation>();
  }
  Task<Result<storage::WriteProgress>> write(StorageIndex, ShareNo, storage::UploadSecret,
                                             std::uint64_t, ByteView) override {
    return no<storage::WriteProgress>();
  }
  Task<Result<>> abort(StorageIndex, ShareNo, storage::UploadSecret) override { return no<void>(); }
  Task<Result<>> advise_corrupt(storage::ShareKind, StorageIndex, ShareNo, std::string) override {
    return no<void>();
  }
  Task<Result<storage::ReadTestWriteReply>> read_test_write(StorageIndex, storage::MutableSecrets,
                                                            storage::ReadTestWrite) override {
    return no<storage::ReadTestWriteReply>();
  }
  Task<> close() override { co_return; }

 private:
  template <class T>
  Task<Result<T>> no() {
    co_return fail(Errc::unsupported, "a share to be read");
  }

  ShareNo number_;
  std::shared_ptr<const Bytes> share_;
};

Task<Result<>> add_blocks(std::vector<Bytes>& shares, const grid::EncodedSegment& segment) {
  for (std::uint64_t i = 0; i < shares.size(); ++i) append(shares[i], segment.block({i}));
  co_return Result<>{};
}

struct Shares {
  grid::ChkCap cap;
  std::vector<Bytes> bytes;
};

Task<Result<Shares>> encode(grid::Geometry geometry, Pool& pool) {
  Shares out;
  out.cap.key = grid::random_secret<16>();
  CO_TRY(encoder, grid::FileEncoder::make(geometry, out.cap.key));
  out.bytes.assign(geometry.n, grid::serialize_header(encoder->layout()));
  const auto source = grid::memory_source(grid::random_bytes(geometry.size));
  const grid::SegmentSink sink = [&out](const grid::EncodedSegment& s) {
    return add_blocks(out.bytes, s);
  };
  CO_TRY(file, co_await grid::encode_file(*encoder, source, pool, sink));
  for (std::uint64_t i = 0; i < geometry.n; ++i) append(out.bytes[i], file.trailer({i}));
  out.cap = {out.cap.key, file.ueb_hash, geometry.k, geometry.n, geometry.size};
  co_return out;
}

Task<Result<>> read_once(const storage::Roster& roster, grid::ChkCap cap, Pool& pool) {
  auto executor = co_await asio::this_coro::executor;
  auto file = std::make_shared<grid::ImmutableFile>(executor, roster, pool, grid::verifier_of(cap));
  auto stream = std::make_unique<grid::ChkStream>(executor, file, cap.key, pool);
  Result<> outcome;
  for (bool more = true; more && outcome;) {
    auto data = co_await stream->next();
    if (!data) outcome = std::unexpected(std::move(data).error());
    more = data && !data->empty();
  }
  co_await stream->close();
  co_await file->close();
  co_return outcome;
}

}  // namespace

Result<std::vector<Figure>> bench_decode(unsigned k, unsigned n, double sha256, double aes,
                                         std::chrono::nanoseconds budget) {
  const grid::Encoding encoding{.k = k, .happy = 1, .n = n};
  TRY(geometry, grid::Geometry::for_upload(kFile, encoding));
  Pool one(1);
  TRY(shares, run(encode(geometry, one)));
  const double size = static_cast<double>(kFile) / 1e6;
  const double limit = 1 / (2 / sha256 + 1 / aes);
  std::vector<Figure> out;
  for (const bool parity : {false, true}) {
    storage::Roster roster;
    for (std::uint64_t i = 0; i < k; ++i) {
      const ShareNo number{parity ? n - 1 - i : i};
      storage::KnownServer known;
      known.id = std::to_string(i);
      known.permutation_seed = Bytes(32, static_cast<std::uint8_t>(i));
      known.server = std::make_shared<OneShare>(
          number, std::make_shared<const Bytes>(shares.bytes[number.value]));
      roster.add(std::move(known));
    }
    TRY_DO(run(read_once(roster, shares.cap, one)));
    const auto measured =
        rate(budget, [&] { (void)run(read_once(roster, shares.cap, one)); }) * size;
    out.push_back(against({fmt::format("CHK decode {}-of-{}{}, 1 thread", k, n,
                                       parity ? " from the last shares" : ""),
                           measured, "MB/s"},
                          limit));
  }
  return out;
}

}  // namespace lafs::cli
