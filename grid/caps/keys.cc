// SPDX-License-Identifier: Apache-2.0
#include "grid/caps/keys.h"

#include "grid/base/netstring.h"
#include "grid/caps/tags.h"

namespace lafs::grid {
namespace {

Key16 key16(const Hash32& hash) { return Key16(truncate<16>(hash)); }
StorageIndex index_of(const Hash32& hash) { return StorageIndex{truncate<16>(hash)}; }

// Node secret -> this node -> this file -> this server.
Secret32 lease_secret(const Secret32& node_secret, const StorageIndex& si, const LeaseSeed& server,
                      std::string_view client_value, std::string_view file_tag,
                      std::string_view bucket_tag) {
  // Here the secret stands in the place of the tag and the fixed text is the value.
  const Secret32 client(tagged_hash(node_secret.view(), as_bytes(client_value)));
  const Secret32 file(tagged_pair_hash(file_tag, client.view(), si.bytes));
  return Secret32(tagged_pair_hash(bucket_tag, file.view(), server));
}

}  // namespace

StorageIndex storage_index_of(const Key16& key) {
  return index_of(tagged_hash(tags::storage_index, key.view()));
}

Result<ConvergentKey> ConvergentKey::start(ByteView convergence_secret, std::uint64_t k,
                                           std::uint64_t n, std::uint64_t segment_size) {
  if (k < 1 || k > n || n > 256)
    return fail(Errc::bad_argument,
                "encoding " + std::to_string(k) + "-of-" + std::to_string(n) + " is impossible");
  const std::string parameters =
      std::to_string(k) + "," + std::to_string(n) + "," + std::to_string(segment_size);
  Bytes tag = to_bytes(tags::convergence);
  append_netstring(tag, convergence_secret);
  append_netstring(tag, as_bytes(parameters));
  return ConvergentKey(tag);
}

Key16 write_key_of(ByteView private_key_pkcs8) {
  return key16(tagged_hash(tags::write_key, private_key_pkcs8));
}

Key16 read_key_of(const Key16& write_key) {
  return key16(tagged_hash(tags::read_key, write_key.view()));
}

StorageIndex mutable_storage_index_of(const Key16& read_key) {
  return index_of(tagged_hash(tags::mutable_storage_index, read_key.view()));
}

Hash32 fingerprint_of(ByteView public_key_spki) {
  return tagged_hash(tags::fingerprint, public_key_spki);
}

Key16 data_key(ByteView salt16, const Key16& read_key) {
  return key16(tagged_pair_hash(tags::data_key, salt16, read_key.view()));
}

Secret32 write_enabler(const Key16& write_key, const LeaseSeed& server) {
  const Secret32 master(tagged_hash(tags::write_enabler_master, write_key.view()));
  return Secret32(tagged_pair_hash(tags::write_enabler, master.view(), server));
}

std::array<std::uint8_t, 16> child_salt(std::string_view child_write_cap) {
  return truncate<16>(tagged_hash(tags::child_salt, as_bytes(child_write_cap)));
}

Key16 child_key(ByteView salt16, const Key16& directory_write_key) {
  return key16(tagged_pair_hash(tags::child_key, salt16, directory_write_key.view()));
}

Hash32 child_mac(const Key16& key, ByteView data) {
  auto masked = [&](std::uint8_t mask) {
    auto out = key;
    for (std::size_t i = 0; i < Key16::size; ++i) out.data()[i] ^= mask;
    return out;
  };
  Sha256 hasher;
  hasher.update(masked(0x36).view());
  hasher.update(data);
  const Hash32 inner = hasher.finish();
  hasher.update(masked(0x5c).view());
  hasher.update(inner);
  return hasher.finish();
}

LeaseSecrets lease_secrets(const Secret32& node_secret, const StorageIndex& si,
                           const LeaseSeed& server) {
  return {.renew = lease_secret(node_secret, si, server, tags::client_renewal, tags::file_renewal,
                                tags::bucket_renewal),
          .cancel = lease_secret(node_secret, si, server, tags::client_cancel, tags::file_cancel,
                                 tags::bucket_cancel)};
}

Key16 cache_key(std::string_view tag, const Secret32& node_secret, ByteView salt) {
  return Key16(truncate<16>(tagged_pair_hash(tag, node_secret.view(), salt)));
}

}  // namespace lafs::grid
