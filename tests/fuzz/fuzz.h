// SPDX-License-Identifier: Apache-2.0
#pragma once

// A fuzz harness is one small file with
//
//   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
//
// that hands the bytes to a parser of outside bytes and requires a property of what comes back.
// Plain builds link it with replay.cc and run it over its corpus as an ordinary test; with
// -Dfuzz=true (clang) it becomes a libFuzzer program, see contrib/fuzz.

#include <cstdio>
#include <cstdlib>

#include "grid/base/bytes.h"

namespace lafs::fuzz {

// An assert that no build type turns off.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", property);
  std::abort();
}

}  // namespace lafs::fuzz

#define FUZZ_REQUIRE(condition) ::lafs::fuzz::require((condition), #condition)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
