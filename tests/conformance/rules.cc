// SPDX-License-Identifier: Apache-2.0
#include "tests/conformance/rules.h"

namespace conformance {

void fail_at(const char* file, int line, const std::string& what) {
  const char* slash = std::strrchr(file, '/');
  throw Failure{std::string(slash ? slash + 1 : file) + ":" + std::to_string(line) + ": " + what};
}

}  // namespace conformance
