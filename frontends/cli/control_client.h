// SPDX-License-Identifier: Apache-2.0
#pragma once

// Questions to the processes of a node directory over their control sockets: to the daemon (a
// mount, a file server) and to the storage server, which may be one process or two. One JSON object
// with the key "do" on a line; answered by any number of {"progress": ...} lines and one {"ok":
// true, ...} or {"ok": false, "code": ..., "message": ...}. See docs/CONTROL.md.

#include <filesystem>
#include <functional>
#include <string>

#include "grid/base/task.h"

namespace lafs::cli {

inline constexpr const char* control_socket_name = "control.sock";
inline constexpr const char* storage_socket_name = "storage.sock";

// As typed: JSON texts. `progress` is given each progress line. not_found: no daemon is running;
// timed_out: no answer within `limit`; else what the daemon says.
Task<Result<std::string>> ask_daemon(std::filesystem::path node, std::string request,
                                     Duration limit,
                                     std::function<void(const std::string&)> progress = {});

// The same of the storage server.
Task<Result<std::string>> ask_storage_server(std::filesystem::path node, std::string request,
                                             Duration limit,
                                             std::function<void(const std::string&)> progress = {});

// Before a command touches the grid beside a daemon: what is still on its way there should arrive
// first. Nothing happens when no daemon runs. Says on standard error what could not be brought in
// time. Once in a process, and never in one that is a daemon itself.
Task<> flush_daemon(std::filesystem::path node);
// We are that daemon.
void never_flush_daemon();

}  // namespace lafs::cli
