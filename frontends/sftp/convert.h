// SPDX-License-Identifier: Apache-2.0
#pragma once

// Our errors in SFTP's few words. The text beside the code says the rest.

#include "frontends/sftp/wire.h"
#include "grid/base/result.h"

namespace lafs::sftp {

Status status_of(Errc code);
std::string_view describe(Status status);

}  // namespace lafs::sftp
