// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "grid/base/base32.h"
#include "grid/crypto/hash.h"
#include "grid/crypto/secret.h"

namespace lafs::grid::storage {

namespace {

constexpr unsigned char alpn_http11[] = "\x08http/1.1";
constexpr unsigned alpn_size = sizeof alpn_http11 - 1;
// AES-128-GCM first: half the CPU of the others where AES is in hardware, and strong enough.
constexpr const char* tls13_ciphers =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* tls12_ciphers =
    "ECDHE+AES128GCM:ECDHE+CHACHA20:ECDHE+AESGCM:DHE+AESGCM:ECDHE+AES";

TlsContext fresh_context(const SSL_METHOD* method) {
  TlsContext context(SSL_CTX_new(method));
  auto* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(c, tls13_ciphers);
  SSL_CTX_set_cipher_list(c, tls12_ciphers);
  SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Partial and moving writes as Asio's engine needs them.
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

// Exactly this one certificate is sent. An Identity has been checked to hold both parts.
void show(SSL_CTX* c, const Identity& identity) {
  const auto& pem = identity.pem();
  BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  SSL_CTX_use_certificate(c, certificate);
  SSL_CTX_use_PrivateKey(c, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size, alpn_http11, alpn_size, in, in_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool pin_matches(X509* certificate, std::string_view pin) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509(certificate, &raw);
  if (size <= 0) return false;
  const auto actual = pin_of_certificate({raw, static_cast<std::size_t>(size)});
  OPENSSL_free(raw);
  return actual && equal_secret(as_bytes(*actual), as_bytes(pin));
}

}  // namespace

void FreeTls::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
void FreeTls::operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }

TlsContext server_tls(const Identity& identity) {
  auto context = fresh_context(TLS_server_method());
  auto* c = context.get();
  SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(c, choose_alpn, nullptr);
  static constexpr unsigned char id[] = "lafs storage";
  SSL_CTX_set_session_id_context(c, id, sizeof id - 1);

  show(c, identity);
  return context;
}

namespace {

// X509_self_signed() checks the signature too: without that, a hash of the key or of the
// certificate would prove nothing about who holds it.
int verify_self_signed(X509_STORE_CTX* store, void*) {
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  const bool good = leaf && X509_self_signed(leaf, 1) == 1;
  ERR_clear_error();
  X509_STORE_CTX_set_error(store, good ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
  return good ? 1 : 0;
}

}  // namespace

TlsContext mutual_tls(const Identity& identity, bool server) {
  auto context = fresh_context(server ? TLS_server_method() : TLS_client_method());
  auto* c = context.get();
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(c, verify_self_signed, nullptr);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
  show(c, identity);
  return context;
}

std::optional<std::string> peer_tub_id(const SSL* connection) {
  X509* certificate = SSL_get1_peer_certificate(connection);
  if (!certificate) return std::nullopt;
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509(certificate, &raw);
  X509_free(certificate);
  if (size <= 0) return std::nullopt;
  auto out = base32(sha1({raw, static_cast<std::size_t>(size)}));
  OPENSSL_free(raw);
  return out;
}

ClientTls::ClientTls(std::string pin)
    : pin_(std::move(pin)), context_(fresh_context(TLS_client_method())) {
  auto* c = context_.get();
  SSL_CTX_set_alpn_protos(c, alpn_http11, alpn_size);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(c, &ClientTls::verify, this);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_app_data(c, this);
  SSL_CTX_sess_set_new_cb(c, &ClientTls::keep_session);
}

ClientTls::~ClientTls() = default;

int ClientTls::keep_session(SSL* connection, SSL_SESSION* session) {
  auto* self = static_cast<ClientTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
  self->session_.reset(session);
  return 1;  // the session is ours now
}

void ClientTls::resume(SSL* connection) {
  if (session_ && SSL_SESSION_is_resumable(session_.get())) {
    SSL_set_session(connection, session_.get());
  }
}

int ClientTls::verify(X509_STORE_CTX* store, void* self) {
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  // X509_self_signed() checks the signature too: without that, a pin would prove nothing about the
  // certificate's other contents.
  if (leaf && X509_self_signed(leaf, 1) == 1 &&
      pin_matches(leaf, static_cast<ClientTls*>(self)->pin_)) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  ERR_clear_error();
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

bool ClientTls::refused_certificate(const SSL* connection) {
  return SSL_get_verify_result(connection) == X509_V_ERR_APPLICATION_VERIFICATION;
}

Result<> check_pin(ByteView certificate, std::string_view pin) {
  const auto* from = certificate.data();
  X509* leaf = d2i_X509(nullptr, &from, static_cast<long>(certificate.size()));
  const bool good = leaf && X509_self_signed(leaf, 1) == 1 && pin_matches(leaf, pin);
  X509_free(leaf);
  ERR_clear_error();
  if (!good) return fail(Errc::wrong_certificate, "not the key that the server's address names");
  return {};
}

}  // namespace lafs::grid::storage
