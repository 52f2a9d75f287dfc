// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>

namespace lafs::ftp {

namespace {

struct FreeFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FreeFile>;

int give_ticket(SSL* connection, void*) {
  const auto* id = static_cast<const ControlId*>(SSL_get_app_data(connection));
  if (!id) return 1;
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(connection), id->data(), id->size());
}

bool belongs_to(SSL_SESSION* session, const ControlId& id) {
  void* data = nullptr;
  std::size_t size = 0;
  if (!session || SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1) return false;
  return size == id.size() && CRYPTO_memcmp(data, id.data(), size) == 0;
}

// A ticket of another control connection is as good as none. It is to be looked at here: afterwards
// give_ticket() may have written our own mark over it.
SSL_TICKET_RETURN take_ticket(SSL* connection, SSL_SESSION* session, const unsigned char*,
                              std::size_t, SSL_TICKET_STATUS status, void*) {
  const auto* id = static_cast<const ControlId*>(SSL_get_app_data(connection));
  const bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!good || !id || !belongs_to(session, *id)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

std::unique_ptr<SSL_CTX, FreeSsl> fresh_context() {
  std::unique_ptr<SSL_CTX, FreeSsl> context(SSL_CTX_new(TLS_server_method()));
  auto* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  // AES-128-GCM first: half the CPU of the others where AES is in hardware.
  SSL_CTX_set_ciphersuites(
      c, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_cipher_list(c, "ECDHE+AES128GCM:ECDHE+CHACHA20:ECDHE+AESGCM:ECDHE+AES");
  SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char name[] = "lafs ftp";
  SSL_CTX_set_session_id_context(c, name, sizeof name - 1);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(c, 4096);
  // A session of a long evening: data connections resume what the control connection began.
  SSL_CTX_set_timeout(c, 24 * 3600);
  SSL_CTX_set_session_ticket_cb(c, give_ticket, take_ticket, nullptr);
  return context;
}

Result<std::string> make_certificate(const std::string& host) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  std::array<unsigned char, 16> serial{};
  RAND_bytes(serial.data(), serial.size());
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial.data(), serial.size(), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3650L * 86400);
  X509_set_pubkey(certificate, key);
  const auto common_name = host.substr(0, 64);
  auto* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, name);
  const auto names = "DNS:" + host + ",DNS:localhost,IP:127.0.0.1,IP:::1";
  for (const auto& [what, value] : {std::pair(NID_subject_alt_name, names),
                                    std::pair(NID_basic_constraints, std::string("CA:FALSE")),
                                    std::pair(NID_ext_key_usage, std::string("serverAuth"))}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    if (extension) X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  BIO* out = BIO_new(BIO_s_mem());
  const bool written = PEM_write_bio_X509(out, certificate) &&
                       PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  OPENSSL_cleanse(text, static_cast<std::size_t>(size));
  BIO_free(out);
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (!written) return fail(Errc::internal, "making a certificate");
  return pem;
}

}  // namespace

void FreeSsl::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
void FreeSsl::operator()(SSL* connection) const { SSL_free(connection); }

ControlId fresh_control_id() {
  ControlId id{};
  RAND_bytes(id.data(), id.size());
  return id;
}

Result<Tls> Tls::load(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  for (const auto& file : {certificate, key})
    if (::access(file.c_str(), R_OK) != 0)
      return fail(errno == ENOENT ? Errc::not_found : Errc::access_denied, file.string());
  auto context = fresh_context();
  auto* c = context.get();
  ERR_clear_error();
  const bool good = SSL_CTX_use_certificate_chain_file(c, certificate.c_str()) == 1 &&
                    SSL_CTX_use_PrivateKey_file(c, key.c_str(), SSL_FILETYPE_PEM) == 1 &&
                    SSL_CTX_check_private_key(c) == 1;
  ERR_clear_error();
  if (!good)
    return fail(Errc::bad_config,
                certificate.string() + ": not a certificate in PEM form with the key that fits it");
  return Tls(std::move(context));
}

Result<Tls> Tls::load_or_create(const std::filesystem::path& file, const std::string& host) {
  if (::access(file.c_str(), F_OK) != 0) {
    TRY(pem, make_certificate(host));
    // Two servers that start at once must not leave a mixture: whole or not at all.
    const auto fresh = file.string() + "." + std::to_string(::getpid());
    const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(Errc::io, "cannot make " + fresh);
    const bool written =
        ::write(fd, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()) && ::fsync(fd) == 0;
    ::close(fd);
    OPENSSL_cleanse(pem.data(), pem.size());
    if (!written || (::link(fresh.c_str(), file.c_str()) != 0 && errno != EEXIST)) {
      ::unlink(fresh.c_str());
      return fail(Errc::io, "cannot make " + file.string());
    }
    ::unlink(fresh.c_str());
  }
  return load(file, file);
}

std::unique_ptr<SSL, FreeSsl> Tls::accept(const ControlId& id, bool tickets) const {
  std::unique_ptr<SSL, FreeSsl> connection(SSL_new(context_.get()));
  SSL_set_app_data(connection.get(), const_cast<ControlId*>(&id));
  SSL_set_accept_state(connection.get());
  // A client that only sends may close without having read them; its kernel then resets the
  // connection, and what it sent last may be lost.
  if (!tickets) SSL_set_num_tickets(connection.get(), 0);
  return connection;
}

std::string Tls::fingerprint() const {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(SSL_CTX_get0_certificate(context_.get()), EVP_sha256(), hash, &size);
  std::string out;
  char two[4];
  for (unsigned i = 0; i < size; ++i) {
    std::snprintf(two, sizeof two, i ? ":%02X" : "%02X", hash[i]);
    out += two;
  }
  return out;
}

void remember_control(SSL* connection, const ControlId& id) {
  if (SSL_SESSION* session = SSL_get_session(connection))
    SSL_SESSION_set1_ticket_appdata(session, id.data(), id.size());
}

bool resumed(SSL* connection, const ControlId& id) {
  return SSL_session_reused(connection) && belongs_to(SSL_get_session(connection), id);
}

}  // namespace lafs::ftp
