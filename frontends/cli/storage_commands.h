// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `lafs serve storage` and `lafs run` have in common.

#include "frontends/cli/daemon_process.h"
#include "grid/storage_announcer.h"
#include "grid/storage_service.h"

namespace lafs::cli {

// What of a storage server follows new settings. Both outlive the reader.
DaemonProcess::Reader storage_reader(grid::StorageService& service,
                                     grid::StorageAnnouncer& announcer);

}  // namespace lafs::cli
