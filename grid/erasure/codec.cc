// SPDX-License-Identifier: Apache-2.0
#include "grid/erasure/codec.h"

#include <isa-l/erasure_code.h>

#include <array>
#include <bitset>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lafs::grid {
namespace {

constexpr unsigned kMost = 256;
// ISA-L counts in int.
constexpr std::size_t kLargestStep = std::size_t{1} << 30;
constexpr std::size_t kTableSize = 32;  // bytes ISA-L expands one coefficient to

// The evaluation points: 0, 1, 2, 4, 8, ... (powers of the field's generator).
std::array<std::uint8_t, kMost> evaluation_points() {
  std::array<std::uint8_t, kMost> x{};
  std::uint8_t power = 1;
  for (unsigned r = 1; r < kMost; ++r) {
    x[r] = power;
    power = gf_mul(power, 2);
  }
  return x;
}

// Row r, column j is the Lagrange basis polynomial of point j at point r,
//   prod over m < k, m != j of (x_r + x_m) / (x_j + x_m),
// written for r >= k as P_r / ((x_r + x_j) * D_j), so that the whole costs n*k multiplications.
Bytes generator_matrix(unsigned k, unsigned n) {
  const auto x = evaluation_points();
  Bytes matrix(std::size_t{n} * k);
  Bytes inverse_d(k);
  for (unsigned j = 0; j < k; ++j) {
    matrix[std::size_t{j} * k + j] = 1;
    std::uint8_t d = 1;
    for (unsigned m = 0; m < k; ++m)
      if (m != j) d = gf_mul(d, x[j] ^ x[m]);
    inverse_d[j] = gf_inv(d);
  }
  for (unsigned r = k; r < n; ++r) {
    std::uint8_t p = 1;
    for (unsigned m = 0; m < k; ++m) p = gf_mul(p, x[r] ^ x[m]);
    for (unsigned j = 0; j < k; ++j)
      matrix[std::size_t{r} * k + j] = gf_mul(gf_mul(p, gf_inv(x[r] ^ x[j])), inverse_d[j]);
  }
  return matrix;
}

// ISA-L wants lists of non-const pointers; it writes through `outputs` only.
using Pointers = std::array<unsigned char*, kMost>;

// ISA-L leaves the upper halves of the vector registers as they are. Until they are cleared, the
// CPU's SHA instructions wait for each other: hashing what was just decoded takes a third longer.
#if defined(__x86_64__)
__attribute__((target("avx"))) void zero_upper() { _mm256_zeroupper(); }
void clear_vector_registers() {
  static const bool has_them = __builtin_cpu_supports("avx");
  if (has_them) zero_upper();
}
#else
void clear_vector_registers() {}
#endif

void multiply(std::size_t length, unsigned inputs, unsigned outputs, const Bytes& tables,
              Pointers in, Pointers out) {
  while (length > 0) {
    const std::size_t step = std::min(length, kLargestStep);
    ec_encode_data(static_cast<int>(step), static_cast<int>(inputs), static_cast<int>(outputs),
                   const_cast<unsigned char*>(tables.data()), in.data(), out.data());
    for (unsigned i = 0; i < inputs; ++i) in[i] += step;
    for (unsigned i = 0; i < outputs; ++i) out[i] += step;
    length -= step;
  }
  clear_vector_registers();
}

Bytes expand(const std::uint8_t* coefficients, unsigned inputs, unsigned outputs) {
  Bytes tables(std::size_t{inputs} * outputs * kTableSize);
  if (!tables.empty())
    ec_init_tables(static_cast<int>(inputs), static_cast<int>(outputs),
                   const_cast<unsigned char*>(coefficients), tables.data());
  return tables;
}

}  // namespace

Codec::Codec(unsigned k, unsigned n)
    : k_(k),
      n_(n),
      matrix_(generator_matrix(k, n)),
      tables_(expand(matrix_.data() + std::size_t{k} * k, k, n - k)) {}

Result<std::shared_ptr<const Codec>> Codec::make(unsigned k, unsigned n) {
  if (k < 1 || k > n || n > kMost)
    return fail(Errc::bad_argument, "erasure code: cannot make " + std::to_string(n) +
                                        " blocks of which " + std::to_string(k) + " suffice");
  // A grid uses one or two pairs; strangers' caps must not fill the memory.
  constexpr std::size_t kCached = 8;
  thread_local std::vector<std::shared_ptr<const Codec>> recent;
  for (const auto& codec : recent)
    if (codec->k() == k && codec->n() == n) return codec;
  std::shared_ptr<const Codec> codec(new Codec(k, n));
  if (recent.size() == kCached) recent.erase(recent.begin());
  recent.push_back(codec);
  return codec;
}

void Codec::encode(std::span<const std::uint8_t* const> pieces,
                   std::span<std::uint8_t* const> parity, std::size_t length) const {
  if (n_ == k_) return;
  Pointers in{};
  Pointers out{};
  for (unsigned i = 0; i < k_; ++i) in[i] = const_cast<unsigned char*>(pieces[i]);
  for (unsigned i = 0; i < n_ - k_; ++i) out[i] = parity[i];
  multiply(length, k_, n_ - k_, tables_, in, out);
}

Result<> Codec::decode(std::span<const unsigned> numbers,
                       std::span<const std::uint8_t* const> blocks,
                       std::span<std::uint8_t* const> pieces, std::size_t length) const {
  if (numbers.size() != k_ || blocks.size() != k_ || pieces.size() != k_)
    return fail(Errc::bad_argument, "erasure code: exactly k blocks are needed");
  std::bitset<kMost> seen;
  for (const unsigned number : numbers) {
    if (number >= n_ || seen[number])
      return fail(Errc::bad_argument,
                  "erasure code: block number " + std::to_string(number) + " twice or too large");
    seen.set(number);
  }
  // Where a piece itself is among the blocks it is copied. For the `m` missing ones there are as
  // many parity rows R with
  //   block_R = M[R][present] * present + M[R][missing] * missing,
  // which is solved for `missing` by inverting an m x m matrix instead of a k x k one.
  std::vector<unsigned> missing;
  for (unsigned i = 0; i < k_; ++i)
    if (!seen[i]) missing.push_back(i);
  const auto m = static_cast<unsigned>(missing.size());

  Pointers in{};
  std::vector<unsigned> parity_positions;
  for (unsigned i = 0; i < k_; ++i) {
    in[i] = const_cast<unsigned char*>(blocks[i]);
    if (numbers[i] >= k_)
      parity_positions.push_back(i);
    else if (pieces[numbers[i]])
      std::memcpy(pieces[numbers[i]], blocks[i], length);
  }
  if (m == 0) return {};

  auto row = [&](unsigned position) {
    return matrix_.data() + std::size_t{numbers[position]} * k_;
  };
  Bytes square(std::size_t{m} * m);
  for (unsigned r = 0; r < m; ++r)
    for (unsigned c = 0; c < m; ++c)
      square[std::size_t{r} * m + c] = row(parity_positions[r])[missing[c]];
  Bytes inverse(square.size());
  if (gf_invert_matrix(square.data(), inverse.data(), static_cast<int>(m)) != 0)
    return fail(Errc::internal, "erasure code: singular matrix");  // any k rows are independent

  // Coefficients of the wanted pieces, over the blocks in the order they were given.
  Pointers out{};
  Bytes coefficients;
  unsigned wanted = 0;
  for (unsigned c = 0; c < m; ++c) {
    std::uint8_t* const piece = pieces[missing[c]];
    if (!piece) continue;
    const std::uint8_t* weights = inverse.data() + std::size_t{c} * m;
    unsigned parity = 0;
    for (unsigned i = 0; i < k_; ++i) {
      std::uint8_t value = 0;
      if (numbers[i] >= k_) {
        value = weights[parity++];
      } else {
        for (unsigned r = 0; r < m; ++r)
          value ^= gf_mul(weights[r], row(parity_positions[r])[numbers[i]]);
      }
      coefficients.push_back(value);
    }
    out[wanted++] = piece;
  }
  if (wanted > 0) multiply(length, k_, wanted, expand(coefficients.data(), k_, wanted), in, out);
  return {};
}

}  // namespace lafs::grid
