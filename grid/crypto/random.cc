// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/random.h"

#include <openssl/rand.h>

#include <cstdlib>

namespace lafs::grid {

void random_fill(MutableBytes out) {
  constexpr std::size_t kLargestStep = std::size_t{1} << 30;  // OpenSSL counts in int
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t step = std::min(kLargestStep, out.size() - done);
    // A key made of what happened to be in memory would be worse than no program.
    if (RAND_bytes(out.data() + done, static_cast<int>(step)) != 1) std::abort();
    done += step;
  }
}

Bytes random_bytes(std::size_t n) {
  Bytes out(n);
  random_fill(out);
  return out;
}

}  // namespace lafs::grid
