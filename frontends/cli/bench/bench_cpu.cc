// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_cpu.h"

#include <fmt/format.h>

#include "frontends/cli/bench/bench_decode.h"
#include "frontends/cli/bench/bench_encode.h"
#include "frontends/cli/bench/measure.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/random.h"
#include "grid/crypto/rsa.h"
#include "grid/erasure/codec.h"

namespace lafs::cli {
namespace {

using Budget = std::chrono::nanoseconds;

constexpr std::size_t kBuffer = std::size_t{1} << 20;  // one segment of the default size

double megabytes(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

double aes_ctr_rate(Budget budget) {
  Bytes buffer = grid::random_bytes(kBuffer);
  grid::AesCtr cipher(grid::random_secret<16>());
  return rate(budget, [&] { cipher.process(buffer); }) * megabytes(buffer.size());
}

// A segment's k pieces and n-k parity blocks, and pointers to them.
struct Segment {
  explicit Segment(const grid::Codec& codec)
      : length(ceil_div(kBuffer, codec.k())), blocks(codec.n(), Bytes(length)) {
    for (unsigned i = 0; i < codec.n(); ++i) {
      if (i < codec.k()) grid::random_fill(blocks[i]);
      (i < codec.k() ? pieces : parity).push_back(blocks[i].data());
    }
    codec.encode(inputs(), parity, length);
  }
  std::vector<const std::uint8_t*> inputs() const { return {pieces.begin(), pieces.end()}; }

  std::size_t length;
  std::vector<Bytes> blocks;
  std::vector<std::uint8_t*> pieces;
  std::vector<std::uint8_t*> parity;
};

std::vector<Figure> bench_erasure(const grid::Codec& codec, Budget budget) {
  Segment segment(codec);
  const double size = megabytes(segment.length * codec.k());
  const std::string code = fmt::format("{}-of-{}", codec.k(), codec.n());
  std::vector<Figure> out;

  const auto inputs = segment.inputs();
  auto encode = [&] { codec.encode(inputs, segment.parity, segment.length); };
  out.push_back({"erasure encode " + code, rate(budget, encode) * size, "MB/s"});

  // The worst case: as many pieces as possible come from parity.
  std::vector<unsigned> numbers;
  std::vector<const std::uint8_t*> given;
  for (unsigned i = 0; i < codec.k(); ++i) {
    numbers.push_back(codec.n() - 1 - i);
    given.push_back(segment.blocks[numbers.back()].data());
  }
  std::vector<Bytes> results(codec.k(), Bytes(segment.length));
  std::vector<std::uint8_t*> wanted;
  for (Bytes& result : results) wanted.push_back(result.data());
  auto decode = [&] { (void)codec.decode(numbers, given, wanted, segment.length); };
  out.push_back({"erasure decode " + code, rate(budget, decode) * size, "MB/s"});
  return out;
}

std::vector<Figure> bench_rsa(Budget budget) {
  const auto key = grid::RsaPrivateKey::generate();
  const auto reader = key.public_key();
  const Bytes message = grid::random_bytes(75);  // the signed prefix of a share
  const Bytes signature = key.sign(message);
  return {
      {"RSA-2048 sign", rate(budget, [&] { (void)key.sign(message); }), "1/s"},
      {"RSA-2048 verify", rate(budget, [&] { (void)reader.verify(message, signature); }), "1/s"},
      {"RSA-2048 new key", rate(budget, [] { (void)grid::RsaPrivateKey::generate(); }), "1/s"},
  };
}

}  // namespace

double sha256_rate(Budget budget) {
  const Bytes buffer = grid::random_bytes(kBuffer);
  grid::Sha256 hasher;
  return rate(budget, [&] { hasher.update(buffer); }) * megabytes(buffer.size());
}

double chk_hashing_limit(double sha256, unsigned k, unsigned n) {
  return sha256 / (2.0 + static_cast<double>(n) / k);
}

Result<std::vector<Figure>> bench_cpu(unsigned k, unsigned n, Budget budget) {
  TRY(codec, grid::Codec::make(k, n));
  std::vector<Figure> out;
  const double sha256 = sha256_rate(budget);
  out.push_back({"SHA-256, one stream", sha256, "MB/s"});
  const double aes = aes_ctr_rate(budget);
  out.push_back({"AES-128-CTR", aes, "MB/s"});
  TRY(encoding, bench_encode(k, n, sha256, budget));
  TRY(decoding, bench_decode(k, n, sha256, aes, budget));
  for (auto figures : {bench_erasure(*codec, budget), encoding, decoding, bench_rsa(budget)})
    out.insert(out.end(), figures.begin(), figures.end());
  return out;
}

}  // namespace lafs::cli
