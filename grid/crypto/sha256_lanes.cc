// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/sha256_lanes.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lafs::grid {

#if defined(__x86_64__)

// g++ 12 takes its own intrinsics for reads of what was never written.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace {

constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
constexpr std::uint32_t initial_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// Tuned for a CPU that has them: with g++'s generic order of instructions a twentieth is lost.
#define LAFS_TARGET target("avx512f,avx512bw,tune=skylake-avx512")
#define LAFS_AVX512 __attribute__((LAFS_TARGET))
#define LAFS_AVX512_INLINE __attribute__((LAFS_TARGET, always_inline)) inline
// Arrays of registers stay in registers only where their loops are unrolled, whatever -O says.
#define LAFS_UNROLLED _Pragma("GCC unroll 16")

// Sixteen rows of sixteen words become columns: word i of every message in register i.
LAFS_AVX512_INLINE void transpose(__m512i* r) {
  __m512i t[16];
  LAFS_UNROLLED
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  LAFS_UNROLLED
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  LAFS_UNROLLED
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  LAFS_UNROLLED
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

LAFS_AVX512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
LAFS_AVX512_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }

LAFS_AVX512_INLINE void one_round(__m512i a, __m512i b, __m512i c, __m512i& d, __m512i e, __m512i f,
                                  __m512i g, __m512i& h, __m512i word, std::uint32_t constant) {
  const auto sum1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
  const auto choice = _mm512_ternarylogic_epi32(e, f, g, 0xCA);
  const auto t1 =
      add(add(h, add(word, _mm512_set1_epi32(static_cast<int>(constant)))), add(sum1, choice));
  const auto sum0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
  const auto majority = _mm512_ternarylogic_epi32(a, b, c, 0xE8);
  d = add(d, t1);
  h = add(t1, add(sum0, majority));
}

// The next word of the message schedule, in place of the one of sixteen rounds ago.
LAFS_AVX512_INLINE void schedule(__m512i* w, int i) {
  const auto w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
  const auto s0 = xor3(_mm512_ror_epi32(w1, 7), _mm512_ror_epi32(w1, 18), _mm512_srli_epi32(w1, 3));
  const auto s1 =
      xor3(_mm512_ror_epi32(w14, 17), _mm512_ror_epi32(w14, 19), _mm512_srli_epi32(w14, 10));
  w[i & 15] = add(add(w[i & 15], w[(i + 9) & 15]), add(s0, s1));
}

// `blocks` blocks of 64 bytes of each message go into the states.
LAFS_AVX512 void compress(std::uint32_t (*state)[16], const std::uint8_t* const* from,
                          std::size_t blocks) {
  const __m512i swap =
      _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
  __m512i s[8];
  LAFS_UNROLLED
  for (int i = 0; i < 8; ++i) s[i] = _mm512_load_si512(state[i]);
  for (std::size_t at = 0; at < blocks * 64; at += 64) {
    __m512i w[16];
    LAFS_UNROLLED
    for (int i = 0; i < 16; ++i) w[i] = _mm512_loadu_si512(from[i] + at);
    transpose(w);
    LAFS_UNROLLED
    for (auto& word : w) word = _mm512_shuffle_epi8(word, swap);
    __m512i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
// A word of the schedule just before the round that takes it.
#define LAFS_ROUND(r, a, b, c, d, e, f, g, h) \
  if constexpr ((r) >= 16) schedule(w, r);    \
  one_round(a, b, c, d, e, f, g, h, w[(r) & 15], round_constants[r])
#define LAFS_EIGHT_ROUNDS(r)                   \
  LAFS_ROUND(r, a, b, c, d, e, f, g, h);       \
  LAFS_ROUND((r) + 1, h, a, b, c, d, e, f, g); \
  LAFS_ROUND((r) + 2, g, h, a, b, c, d, e, f); \
  LAFS_ROUND((r) + 3, f, g, h, a, b, c, d, e); \
  LAFS_ROUND((r) + 4, e, f, g, h, a, b, c, d); \
  LAFS_ROUND((r) + 5, d, e, f, g, h, a, b, c); \
  LAFS_ROUND((r) + 6, c, d, e, f, g, h, a, b); \
  LAFS_ROUND((r) + 7, b, c, d, e, f, g, h, a)
    LAFS_EIGHT_ROUNDS(0);
    LAFS_EIGHT_ROUNDS(8);
    LAFS_EIGHT_ROUNDS(16);
    LAFS_EIGHT_ROUNDS(24);
    LAFS_EIGHT_ROUNDS(32);
    LAFS_EIGHT_ROUNDS(40);
    LAFS_EIGHT_ROUNDS(48);
    LAFS_EIGHT_ROUNDS(56);
#undef LAFS_EIGHT_ROUNDS
#undef LAFS_ROUND
    const __m512i out[8] = {a, b, c, d, e, f, g, h};
    LAFS_UNROLLED
    for (int i = 0; i < 8; ++i) s[i] = add(s[i], out[i]);
  }
  LAFS_UNROLLED
  for (int i = 0; i < 8; ++i) _mm512_store_si512(state[i], s[i]);
}

// What each lane works at, block by block.
class Lanes {
 public:
  explicit Lanes(std::span<const LaneJob> jobs) : jobs_(jobs) {}

  void run() {
    for (unsigned l = 0; l < sha256_lanes; ++l) load(l);
    while (live_ > 0) {
      std::size_t blocks = SIZE_MAX;
      const std::uint8_t* busy = nullptr;
      for (unsigned l = 0; l < sha256_lanes; ++l) {
        if (!lane_[l].job) continue;
        if (lane_[l].left < blocks) blocks = lane_[l].left;
        busy = lane_[l].at;
      }
      const std::uint8_t* from[sha256_lanes];
      // An idle lane follows a busy one: what it computes is not looked at.
      for (unsigned l = 0; l < sha256_lanes; ++l) from[l] = lane_[l].job ? lane_[l].at : busy;
      compress(state_, from, blocks);
      for (unsigned l = 0; l < sha256_lanes; ++l) {
        auto& lane = lane_[l];
        if (!lane.job) continue;
        lane.at += blocks * 64;
        lane.left -= blocks;
        if (lane.left == 0) advance(l);
      }
    }
  }

 private:
  enum class Part : std::uint8_t { first, body, end, again };
  struct Lane {
    const LaneJob* job = nullptr;
    Part part = Part::first;
    const std::uint8_t* at = nullptr;
    std::size_t left = 0;  // blocks of this part
    alignas(64) std::array<std::uint8_t, 128> scratch{};
  };

  void reset(unsigned l) {
    for (int i = 0; i < 8; ++i) state_[i][l] = initial_state[i];
  }

  // The next message: its tag and what of it fits in the same block.
  void load(unsigned l) {
    auto& lane = lane_[l];
    if (next_ == jobs_.size()) return;
    lane.job = &jobs_[next_++];
    ++live_;
    reset(l);
    const auto& job = *lane.job;
    std::memcpy(lane.scratch.data(), job.prefix.data(), job.prefix_length);
    std::memcpy(lane.scratch.data() + job.prefix_length, job.data.data(), 64 - job.prefix_length);
    go(lane, Part::first, lane.scratch.data(), 1);
  }

  static void go(Lane& lane, Part part, const std::uint8_t* at, std::size_t blocks) {
    lane.part = part;
    lane.at = at;
    lane.left = blocks;
  }

  void digest(unsigned l, std::uint8_t* to) const {
    for (int i = 0; i < 8; ++i) {
      const auto word = __builtin_bswap32(state_[i][l]);
      std::memcpy(to + 4 * i, &word, 4);
    }
  }

  static void put_length(std::uint8_t* end, std::uint64_t bytes) {
    const auto bits = __builtin_bswap64(bytes * 8);
    std::memcpy(end - 8, &bits, 8);
  }

  void advance(unsigned l) {
    auto& lane = lane_[l];
    const auto& job = *lane.job;
    const std::size_t in_first = 64 - job.prefix_length;
    const std::size_t body = (job.data.size() - in_first) / 64;
    const std::size_t rest = (job.data.size() - in_first) % 64;
    switch (lane.part) {
      case Part::first:
        if (body > 0) return go(lane, Part::body, job.data.data() + in_first, body);
        [[fallthrough]];
      case Part::body: {
        const std::size_t blocks = rest + 9 <= 64 ? 1 : 2;
        lane.scratch.fill(0);
        if (rest > 0) {
          std::memcpy(lane.scratch.data(), job.data.data() + in_first + body * 64, rest);
        }
        lane.scratch[rest] = 0x80;
        put_length(lane.scratch.data() + blocks * 64, job.prefix_length + job.data.size());
        return go(lane, Part::end, lane.scratch.data(), blocks);
      }
      case Part::end:
        lane.scratch.fill(0);
        digest(l, lane.scratch.data());
        lane.scratch[32] = 0x80;
        put_length(lane.scratch.data() + 64, 32);
        reset(l);
        return go(lane, Part::again, lane.scratch.data(), 1);
      case Part::again:
        digest(l, job.out);
        lane.job = nullptr;
        --live_;
        load(l);
    }
  }

  alignas(64) std::uint32_t state_[8][16] = {};
  std::array<Lane, sha256_lanes> lane_;
  std::span<const LaneJob> jobs_;
  std::size_t next_ = 0;
  unsigned live_ = 0;
};

}  // namespace

bool sha256_lanes_available() {
  static const bool available =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  return available;
}

void sha256d_in_lanes(std::span<const LaneJob> jobs) { Lanes(jobs).run(); }

#else

bool sha256_lanes_available() { return false; }
void sha256d_in_lanes(std::span<const LaneJob>) {}

#endif

}  // namespace lafs::grid
