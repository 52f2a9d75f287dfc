// SPDX-License-Identifier: Apache-2.0
#pragma once

// TLS as storage servers and their clients speak it (spec/storage 2.4): version 1.2 or newer,
// AES-128-GCM preferred, ALPN only "http/1.1". Who the server is rests on one thing, the pin: the
// hash of its public key in the NURL. Dates, names and authorities mean nothing here.

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <string>

#include "grid/base/result.h"
#include "grid/storage/identity.h"

struct ssl_session_st;  // OpenSSL's SSL_SESSION

namespace lafs::grid::storage {

struct FreeTls {
  void operator()(SSL_CTX* context) const;
  void operator()(ssl_session_st* session) const;
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeTls>;
using TlsSession = std::unique_ptr<ssl_session_st, FreeTls>;

TlsContext server_tls(const Identity& identity);

// TLS in which both sides show a certificate, as Foolscap has it (spec/storage 9.1). Any
// certificate that signs itself is let in; peer_tub_id() says whose it was.
TlsContext mutual_tls(const Identity& identity, bool server);
// base32(SHA-1(certificate)) of the peer after the handshake; nothing when it showed none.
std::optional<std::string> peer_tub_id(const SSL* connection);

// Accepts only a certificate that signs itself and whose key has this pin; everything else ends
// the handshake. Keeps the newest session ticket for the next connection.
class ClientTls {
 public:
  explicit ClientTls(std::string pin);
  ~ClientTls();
  ClientTls(const ClientTls&) = delete;
  ClientTls& operator=(const ClientTls&) = delete;

  SSL_CTX* context() { return context_.get(); }
  // Before the handshake: offers the kept session.
  void resume(SSL* connection);
  // After a failed one: the certificate was the reason.
  static bool refused_certificate(const SSL* connection);

 private:
  static int verify(X509_STORE_CTX* store, void* self);
  static int keep_session(SSL* connection, ssl_session_st* session);

  std::string pin_;
  TlsContext context_;
  TlsSession session_;
};

// What verify() decides, on the DER of the certificate a server showed. Errc::wrong_certificate.
Result<> check_pin(ByteView certificate, std::string_view pin);

}  // namespace lafs::grid::storage
