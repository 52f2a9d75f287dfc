// SPDX-License-Identifier: Apache-2.0
//
// Runs a harness over every file of a corpus directory, and over a fixed number of damaged copies
// of each: cut off, one byte changed, a piece repeated. Always the same ones, so that a failure
// comes back; what libFuzzer finds in its own time joins the corpus.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.h"

namespace {

using lafs::Bytes;
namespace fs = std::filesystem;

constexpr int kDamagedCopies = 400;  // of each file

void run(const Bytes& input) {
  // A copy of exactly the right size on the heap lets the address sanitizer see every overrun.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

Bytes damaged(Bytes input, std::mt19937& rng) {
  if (input.empty()) return Bytes(1, static_cast<std::uint8_t>(rng()));
  const std::size_t at = rng() % input.size();
  const auto position = input.begin() + static_cast<long>(at);
  switch (rng() % 5) {
    case 0:
      input.resize(at);
      break;
    case 1:
      *position = static_cast<std::uint8_t>(rng());
      break;
    case 2:
      *position ^= static_cast<std::uint8_t>(1u << rng() % 8);
      break;
    case 3:  // ends of ranges are where lengths and offsets go wrong
      for (std::size_t i = at; i < std::min(at + 1 + rng() % 8, input.size()); ++i)
        input[i] = rng() % 2 ? 0xff : 0x00;
      break;
    default: {
      const Bytes piece(
          position,
          position + static_cast<long>(1 + rng() % std::min<std::size_t>(input.size() - at, 64)));
      input.insert(position, piece.begin(), piece.end());
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  run({});
  for (int i = 1; i < argc; ++i) {
    std::vector<fs::path> paths;
    if (fs::is_directory(argv[i]))
      for (const auto& entry : fs::directory_iterator(argv[i])) paths.push_back(entry.path());
    else
      paths.emplace_back(argv[i]);
    std::ranges::sort(paths);
    for (const auto& path : paths) {
      std::ifstream in(path, std::ios::binary);
      const Bytes input(std::istreambuf_iterator<char>(in), {});
      std::fprintf(stderr, "%s\n", path.c_str());
      run(input);
      std::mt19937 rng(static_cast<std::uint32_t>(input.size()));
      for (int copy = 0; copy < kDamagedCopies; ++copy) run(damaged(input, rng));
      ++files;
    }
  }
  if (files == 0) {
    std::fprintf(stderr, "no corpus: nothing was tested\n");
    return 1;
  }
  return 0;
}
