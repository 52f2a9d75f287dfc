// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every tag under which something is hashed, exactly as it enters the hash (spec/immutable 1.5,
// spec/mutable 0.1): no terminator, the netstring around it is added by the hash functions. Hash
// trees have two more of their own, "Merkle tree internal node" and "Merkle tree empty leaf", in
// grid/crypto/merkle.cc.
//
// TH is tagged_hash(), TPH is tagged_pair_hash(); /16 means that 16 bytes of the result are used.

#include <string_view>

namespace lafs::grid::tags {

using Tag = std::string_view;

// --- immutable files
inline constexpr Tag storage_index = "allmydata_immutable_key_to_storage_index_v1";  // TH(key)/16
inline constexpr Tag block = "allmydata_encoded_subshare_v1";                        // TH(block)
inline constexpr Tag ueb = "allmydata_uri_extension_v1";                             // TH(UEB)
inline constexpr Tag ciphertext = "allmydata_crypttext_v1";                  // TH(whole ciphertext)
inline constexpr Tag ciphertext_segment = "allmydata_crypttext_segment_v1";  // TH(segment)
inline constexpr Tag plaintext = "allmydata_plaintext_v1";                   // TH; in old UEBs only
inline constexpr Tag plaintext_segment = "allmydata_plaintext_segment_v1";   // TH; in old UEBs only
// Only the beginning of a tag: see ConvergentKey.
inline constexpr Tag convergence = "allmydata_immutable_content_to_key_with_added_secret_v1+";

// --- leases. The first two are values, hashed with the node's secret in the place of the tag.
inline constexpr Tag client_renewal = "allmydata_client_renewal_secret_v1";
inline constexpr Tag client_cancel = "allmydata_client_cancel_secret_v1";
inline constexpr Tag file_renewal = "allmydata_file_renewal_secret_v1";      // TPH(client, index)
inline constexpr Tag file_cancel = "allmydata_file_cancel_secret_v1";        // TPH(client, index)
inline constexpr Tag bucket_renewal = "allmydata_bucket_renewal_secret_v1";  // TPH(file, server)
inline constexpr Tag bucket_cancel = "allmydata_bucket_cancel_secret_v1";    // TPH(file, server)

// --- mutable files
inline constexpr Tag write_key = "allmydata_mutable_privkey_to_writekey_v1";  // TH(PKCS#8)/16
inline constexpr Tag read_key = "allmydata_mutable_writekey_to_readkey_v1";   // TH(write key)/16
inline constexpr Tag data_key = "allmydata_mutable_readkey_to_datakey_v1";    // TPH(salt, key)/16
inline constexpr Tag fingerprint = "allmydata_mutable_pubkey_to_fingerprint_v1";  // TH(SPKI)
inline constexpr Tag mutable_storage_index =
    "allmydata_mutable_readkey_to_storage_index_v1";  // TH(read key)/16
inline constexpr Tag write_enabler_master =
    "allmydata_mutable_writekey_to_write_enabler_master_v1";  // TH(write key)
inline constexpr Tag write_enabler =
    "allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1";  // TPH(master, server)

// --- directories
inline constexpr Tag child_salt = "allmydata_dirnode_child_rwcap_to_salt_v1";  // TH(write cap)/16
inline constexpr Tag child_key =
    "allmydata_mutable_writekey_and_salt_to_dirnode_child_capkey_v1";  // TPH(salt, write key)/16

// --- ours: keys of what the cache keeps on the local disk
inline constexpr Tag cache_journal = "lafs_cache_journal_v1";  // TPH(secret, salt)/16
inline constexpr Tag cache_staging = "lafs_cache_staging_v1";  // TPH(secret, empty)/16
inline constexpr Tag cache_model = "lafs_cache_model_v1";      // TPH(secret, empty)/16
inline constexpr Tag cache_listing = "lafs_cache_listing_v1";  // TPH(secret, empty)/16
inline constexpr Tag cache_name = "lafs_cache_name_v1";        // TPH(secret, cap)

// --- what `backup` remembers about a directory it has stored
inline constexpr Tag backup_directory = "allmydata_backupdb_dirhash_v1";  // TH(contents)

}  // namespace lafs::grid::tags
