// SPDX-License-Identifier: Apache-2.0
#pragma once

// Grid manager certificates (spec/storage 8.8): an operator's signed word, for a time, that a
// storage server belongs to the grid. With managers configured, new immutable files go only to
// servers that show a certificate of one of them.

#include <chrono>
#include <vector>

#include "grid/introducer/announcement.h"

namespace lafs::grid::introducer {

using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

struct CheckedCertificate {
  std::string public_key;  // "pub-v0-..." of the server it speaks of
  WallTime expires;
  std::string notice;  // a word of the manager to the grid's clients ("notice"); usually empty
};

// What a certificate says, whoever signed it. Errc::corrupt when it is malformed.
Result<CheckedCertificate> read_certificate(const GridCertificate& certificate);
// What a certificate says, when one of `managers` signed it. Errc::corrupt when none did or it is
// malformed.
Result<CheckedCertificate> check_certificate(const GridCertificate& certificate,
                                             const std::vector<Ed25519Public>& managers);

// Whether new files may go to a server. `expires`: the latest end of a certificate that is good.
struct UploadPermission {
  bool permitted = true;
  std::optional<WallTime> expires;
  std::string notice;  // of that certificate
};
UploadPermission upload_permission(const std::string& server_id,
                                   const std::vector<GridCertificate>& certificates,
                                   const std::vector<Ed25519Public>& managers, WallTime now);

// A certificate file as the grid manager writes it: exactly "certificate" and "signature".
// Errc::bad_config, naming `file`.
Result<GridCertificate> parse_certificate_file(std::string_view text, const std::string& file);

// "2030-01-01T00:00:00.000000+00:00", the fraction and its digits optional, any offset.
std::optional<WallTime> parse_iso_time(std::string_view text);

}  // namespace lafs::grid::introducer
