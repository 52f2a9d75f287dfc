// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_encode.h"

#include <fmt/format.h>

#include "frontends/cli/bench/bench_cpu.h"
#include "frontends/cli/bench/measure.h"
#include "grid/base/task.h"
#include "grid/crypto/random.h"
#include "grid/immutable/encode_pipeline.h"

namespace lafs::cli {
namespace {

// So many segments that the beginning and the end, where threads wait, do not count.
constexpr std::size_t kFile = std::size_t{96} << 20;

Task<Result<>> drop(const grid::EncodedSegment&) { co_return Result<>{}; }

Task<Result<>> encode_once(const grid::Geometry& geometry, const grid::Source& source, Pool& pool) {
  const grid::Key16 key;
  CO_TRY(encoder, grid::FileEncoder::make(geometry, key));
  const grid::SegmentSink sink = drop;
  CO_TRY_DO(co_await grid::encode_file(*encoder, source, pool, sink));
  co_return Result<>{};
}

Task<Result<>> key_once(const grid::Geometry& geometry, const grid::Source& source, Pool& pool) {
  const Bytes secret(32);
  CO_TRY_DO(co_await grid::convergent_key(source, geometry, secret, pool));
  co_return Result<>{};
}

}  // namespace

Result<std::vector<Figure>> bench_encode(unsigned k, unsigned n, double sha256,
                                         std::chrono::nanoseconds budget) {
  const grid::Encoding encoding{.k = k, .happy = 1, .n = n};
  TRY(geometry, grid::Geometry::for_upload(kFile, encoding));
  const auto source = grid::memory_source(grid::random_bytes(kFile));
  const double size = static_cast<double>(kFile) / 1e6;
  const double limit = chk_hashing_limit(sha256, k, n);
  const auto code = fmt::format("{}-of-{}", k, n);
  std::vector<Figure> out;
  Pool one(1);
  Pool all;
  // A failure here would be one of arithmetic on our own numbers.
  auto encode = [&](Pool& pool) {
    return rate(budget, [&] { (void)run(encode_once(geometry, source, pool)); }) * size;
  };
  auto key = [&] { (void)run(key_once(geometry, source, one)); };
  out.push_back(against({"convergence pass", rate(budget, key) * size, "MB/s"}, sha256));
  out.push_back(against({"CHK encode " + code + ", 1 thread", encode(one), "MB/s"}, limit));
  out.push_back(
      against({fmt::format("CHK encode {}, {} threads", code, all.threads()), encode(all), "MB/s"},
              limit * all.threads()));
  return out;
}

}  // namespace lafs::cli
