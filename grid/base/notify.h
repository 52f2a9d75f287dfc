// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a service tells systemd about itself (sd_notify(3)): "READY=1", "STOPPING=1",
// "STATUS=...", "WATCHDOG=1". One datagram to the socket that $NOTIFY_SOCKET names, so no library
// is needed; without that variable nothing happens.

#include <chrono>
#include <optional>
#include <string_view>

namespace lafs {

// Whether somebody was told.
bool notify_service_manager(std::string_view state);

// How often "WATCHDOG=1" has to come at least; nothing when nobody waits for it.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace lafs
