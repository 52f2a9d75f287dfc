// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every key and secret derived from another one, each a tagged hash with a tag of its own
// (spec/immutable 1.5 and 2, spec/mutable 1.3 and 1.4, spec/storage 6).

#include "grid/base/result.h"
#include "grid/caps/storage_index.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/secret.h"

namespace lafs::grid {

// The 20-byte tub id of a server, from its announced anonymous-storage-FURL: the seed of lease
// secrets and write enablers, also when talking HTTP.
using LeaseSeed = std::array<std::uint8_t, 20>;

// --- immutable files
StorageIndex storage_index_of(const Key16& key);
// Hashes a plaintext into its convergent key. `segment_size` is the file's actual one (shrunk and
// rounded up to a multiple of k). Errc::bad_argument unless 1 <= k <= n <= 256.
class ConvergentKey {
 public:
  static Result<ConvergentKey> start(ByteView convergence_secret, std::uint64_t k, std::uint64_t n,
                                     std::uint64_t segment_size);
  void update(ByteView plaintext) { hasher_.update(plaintext); }
  Key16 finish() { return Key16(truncate<16>(hasher_.finish())); }

 private:
  explicit ConvergentKey(ByteView tag) : hasher_(tag) {}
  TaggedHasher hasher_;
};

// --- mutable files
Key16 write_key_of(ByteView private_key_pkcs8);
Key16 read_key_of(const Key16& write_key);
StorageIndex mutable_storage_index_of(const Key16& read_key);
Hash32 fingerprint_of(ByteView public_key_spki);
Key16 data_key(ByteView salt16, const Key16& read_key);
Secret32 write_enabler(const Key16& write_key, const LeaseSeed& server);

// --- directories: how a child's write cap is hidden from readers of the directory
std::array<std::uint8_t, 16> child_salt(std::string_view child_write_cap);
Key16 child_key(ByteView salt16, const Key16& directory_write_key);
// Over salt || ciphertext. Like HMAC-SHA-256, but the key is not padded (spec/mutable 8.3).
Hash32 child_mac(const Key16& key, ByteView data);

// --- leases
struct LeaseSecrets {
  Secret32 renew;
  Secret32 cancel;
};
LeaseSecrets lease_secrets(const Secret32& node_secret, const StorageIndex& si,
                           const LeaseSeed& server);

// --- what the cache keeps on the local disk; `tag` is one of tags::cache_*
Key16 cache_key(std::string_view tag, const Secret32& node_secret, ByteView salt = {});

}  // namespace lafs::grid
