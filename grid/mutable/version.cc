// SPDX-License-Identifier: Apache-2.0
#include "grid/mutable/version.h"

#include <string>

#include "grid/base/base32.h"

namespace lafs::grid {

std::string VersionId::text() const {
  return "seq" + std::to_string(seqnum) + "-" + base32(root_hash).substr(0, 4);
}

}  // namespace lafs::grid
