// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys by which clients know this server again: ed25519, ecdsa and rsa, in files that only
// their owner can read, as OpenSSH writes them (ssh_host_ed25519_key ...). Made when missing.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "grid/base/result.h"

namespace lafs::sftp {

struct HostKey {
  std::filesystem::path file;
  std::string fingerprint;  // "SHA256:..."
  std::string type;         // "ssh-ed25519"
};

// The directory must exist. `own`: a key that is somewhere else and takes the place of the one of
// its type. Blocking: an RSA key takes a moment to make.
Result<std::vector<HostKey>> prepare_host_keys(const std::filesystem::path& directory,
                                               const std::optional<std::filesystem::path>& own);

}  // namespace lafs::sftp
