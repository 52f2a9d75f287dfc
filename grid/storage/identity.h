// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who a node is on the wire: `private/node.pem`, a self-signed certificate followed by its PKCS#8
// key (spec/storage 2.1). The certificate is never renewed and its dates are ignored by everybody:
// its hash is the node's name, so a new one would be a new node.

#include <filesystem>
#include <string>

#include "grid/base/result.h"
#include "grid/caps/keys.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace lafs::grid::storage {

class Identity {
 public:
  // A fresh RSA-2048 key and a certificate of the shape Tahoe makes. About 100 ms of CPU.
  static Identity generate();
  // For who only calls others and is told apart by nobody: an ECDSA P-256 key, made in no time. Two
  // callers of one identity would take turns in throwing each other out of an introducer.
  static Identity for_this_process();
  // Errc::bad_config when there is no certificate, no key, or they do not belong together.
  static Result<Identity> from_pem(std::string_view pem);
  // Errc::not_found, Errc::io, or as from_pem().
  static Result<Identity> load(const std::filesystem::path& file);
  // load(), or generate and save with mode 0600 when there is no file.
  static Result<Identity> load_or_create(const std::filesystem::path& file);
  // Replaces `file` in one step.
  Result<> save(const std::filesystem::path& file) const;

  const std::string& pem() const { return pem_; }
  const Bytes& certificate() const { return certificate_; }  // DER
  // SHA-1 of the certificate: what mutable shares record, and what clients seed secrets with.
  const LeaseSeed& node_id() const { return node_id_; }
  std::string tub_id() const;                      // base32 of it, 32 characters
  const std::string& pin() const { return pin_; }  // what NURLs carry, 43 characters

 private:
  static Identity made_of(evp_pkey_st* owned, bool authority);

  std::string pem_;
  Bytes certificate_;
  LeaseSeed node_id_{};
  std::string pin_;
};

// base64url(SHA-256(DER SubjectPublicKeyInfo)) of a DER certificate; nothing when it is none.
std::optional<std::string> pin_of_certificate(ByteView der);

}  // namespace lafs::grid::storage
