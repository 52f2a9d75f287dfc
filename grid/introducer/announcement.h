// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a storage server says about itself, signed (spec/storage 8.1-8.4). The signature covers the
// bytes of the message, so those are kept and passed on as they came.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"
#include "grid/crypto/ed25519.h"

namespace lafs::grid::introducer {

// "v0-" and "pub-v0-"/"priv-v0-" texts of keys and signatures. Nothing when malformed.
std::string key_text(const Ed25519Public& key);
std::optional<Ed25519Public> key_from_text(std::string_view text);         // "v0-..."
std::optional<Ed25519Public> public_key_from_text(std::string_view text);  // "pub-v0-..."
std::optional<Secret32> private_key_from_text(std::string_view text);      // "priv-v0-..."

struct SignedAnnouncement {
  std::string message;    // JSON
  std::string signature;  // "v0-..."
  std::string key;        // "v0-...": also the server's id
  bool operator==(const SignedAnnouncement&) const = default;
};

// A grid manager's word that a server belongs to the grid; verified by certificates.h.
struct GridCertificate {
  std::string certificate;  // JSON text, exactly as signed
  std::string signature;    // base32
  bool operator==(const GridCertificate&) const = default;
};

struct Announcement {
  std::string server_id;
  std::string service;  // "storage"
  std::string nickname;
  std::string version;                 // the server's software, for people
  std::optional<std::int64_t> number;  // grows with each announcement of one server
  std::string furl;                    // empty when it announces none
  std::vector<std::string> nurls;
  std::optional<std::string> permutation_seed;  // base32
  std::vector<GridCertificate> certificates;
  // What only lafs says and reads (keys "lafs-notice", "lafs-feedback"; Tahoe passes over them): a
  // word of the server's operator to its clients, and whether he wants to hear how they fare.
  std::string notice;
  bool asks_feedback = false;
  std::string content;  // the dictionary as JSON with sorted keys: equal content, equal text
};

// Checks the signature and reads the message. Errc::corrupt when the signature is not of these
// bytes, Errc::protocol when the message is no announcement.
Result<Announcement> verify(const SignedAnnouncement& from);
// Reads a dictionary that somebody else vouches for: our own cache file.
Result<Announcement> read_announcement(std::string_view json, std::string server_id);

SignedAnnouncement sign(std::string message, const Secret32& key);

// What our own storage server announces.
struct OwnAnnouncement {
  std::string nickname;
  std::string version;  // "lafs/0.1.0"
  std::string furl;
  std::vector<std::string> nurls;
  std::string permutation_seed;  // base32
  std::vector<GridCertificate> certificates;
  std::string notice;
  bool asks_feedback = false;
  std::int64_t number = 0;
  std::string nonce;  // 52 characters by chance
  bool operator==(const OwnAnnouncement&) const = default;
};
std::string announcement_message(const OwnAnnouncement& what);

}  // namespace lafs::grid::introducer
