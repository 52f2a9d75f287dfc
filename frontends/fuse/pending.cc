// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/pending.h"

#include <signal.h>

#include <fstream>
#include <string>

#include "frontends/fuse/reply.h"

namespace lafs::fuse {

Reply* Pending::find(std::uint64_t unique) const {
  for (auto* reply : all_) {
    if (reply->unique() == unique) return reply;
  }
  return nullptr;
}

bool is_being_killed(int thread) {
  if (thread <= 0) return false;  // of another pid namespace
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  if (!status) return true;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigPnd:") && !line.starts_with("ShdPnd:")) continue;
    const auto pending = std::strtoull(line.c_str() + 7, nullptr, 16);
    if (pending & (1ull << (SIGKILL - 1))) return true;
  }
  return false;
}

}  // namespace lafs::fuse
