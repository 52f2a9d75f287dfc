// SPDX-License-Identifier: Apache-2.0
#include "grid/base/result.h"

namespace lafs {

std::string Error::message() const {
  if (context.empty()) return std::string(describe(code));
  return context + ": " + std::string(describe(code));
}

std::unexpected<Error> annotate(Error error, std::string_view prefix) {
  error.context =
      error.context.empty() ? std::string(prefix) : std::string(prefix) + ": " + error.context;
  return std::unexpected(std::move(error));
}

}  // namespace lafs
