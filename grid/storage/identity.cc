// SPDX-License-Identifier: Apache-2.0
#include "grid/storage/identity.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "grid/base/base32.h"
#include "grid/crypto/hash.h"

namespace lafs::grid::storage {

namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

constexpr std::size_t largest_pem = 1 << 20;

Bytes der_of(X509* certificate) {
  Bytes der(static_cast<std::size_t>(std::max(0, i2d_X509(certificate, nullptr))));
  auto* to = der.data();
  i2d_X509(certificate, &to);
  return der;
}

std::string pin_of(X509* certificate) {
  std::uint8_t* raw = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &raw);
  if (size <= 0) return {};
  const auto hash = sha256({raw, static_cast<std::size_t>(size)});
  OPENSSL_free(raw);
  return base64url(hash);
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(std::max(0L, size)));
}

Error system_error(const std::filesystem::path& file, const char* what) {
  const auto code = errno == ENOENT                       ? Errc::not_found
                    : (errno == EACCES || errno == EPERM) ? Errc::access_denied
                                                          : Errc::io;
  return {code, std::string(what) + " " + file.string() + ": " + std::strerror(errno)};
}

}  // namespace

Identity Identity::generate() { return made_of(EVP_RSA_gen(2048), false); }

Identity Identity::for_this_process() { return made_of(EVP_EC_gen("P-256"), true); }

// `authority`: a version 3 certificate that says so, which is what Python's peers were seen to
// accept of keys other than RSA. Otherwise version 1 without extensions, as Tahoe makes it.
Identity Identity::made_of(evp_pkey_st* owned, bool authority) {
  PrivateKey key(owned);
  Certificate certificate(X509_new());
  auto* x = certificate.get();
  X509_set_version(x, authority ? 2 : 0);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), 0);
  X509_gmtime_adj(X509_getm_notAfter(x), 365L * 24 * 3600);
  auto* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("newpb_thingy"), -1, -1, 0);
  X509_set_issuer_name(x, name);
  X509_set_pubkey(x, key.get());
  if (authority) {
    if (auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "CA:TRUE")) {
      X509_add_ext(x, extension, -1);
      X509_EXTENSION_free(extension);
    }
  }
  X509_sign(x, key.get(), EVP_sha256());

  Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x);
  PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  auto identity = from_pem(text_of(out.get()));
  // Only an OpenSSL without such keys or without randomness gets here.
  if (!identity) std::abort();
  return std::move(*identity);
}

Result<Identity> Identity::from_pem(std::string_view pem) {
  if (pem.size() > largest_pem) return fail(Errc::bad_config, "node.pem: too large");
  const int size = static_cast<int>(pem.size());
  Bio first(BIO_new_mem_buf(pem.data(), size));
  Certificate certificate(PEM_read_bio_X509(first.get(), nullptr, nullptr, nullptr));
  if (!certificate) return fail(Errc::bad_config, "node.pem: no certificate in it");
  Bio second(BIO_new_mem_buf(pem.data(), size));
  // An encrypted key must not make OpenSSL ask on the terminal.
  auto no_password = [](char*, int, int, void*) { return 0; };
  PrivateKey key(PEM_read_bio_PrivateKey(second.get(), nullptr, no_password, nullptr));
  if (!key) return fail(Errc::bad_config, "node.pem: no private key in it");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return fail(Errc::bad_config, "node.pem: the key is not the certificate's");
  }
  Identity out;
  out.pem_ = pem;
  out.certificate_ = der_of(certificate.get());
  out.node_id_ = sha1(out.certificate_);
  out.pin_ = pin_of(certificate.get());
  return out;
}

Result<Identity> Identity::load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::unexpected(system_error(file, "reading"));
  std::string pem(largest_pem + 1, '\0');
  in.read(pem.data(), static_cast<std::streamsize>(pem.size()));
  if (in.bad()) return fail(Errc::io, "reading " + file.string());
  pem.resize(static_cast<std::size_t>(in.gcount()));
  auto identity = from_pem(pem);
  if (!identity) return annotate(std::move(identity).error(), file.string());
  return identity;
}

Result<Identity> Identity::load_or_create(const std::filesystem::path& file) {
  auto identity = load(file);
  if (identity || identity.error().code != Errc::not_found) return identity;
  auto fresh = generate();
  TRY_DO(fresh.save(file));
  return fresh;
}

Result<> Identity::save(const std::filesystem::path& file) const {
  auto beside = file;
  beside += ".new";
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return std::unexpected(system_error(beside, "creating"));
  const bool written = ::write(fd, pem_.data(), pem_.size()) == static_cast<ssize_t>(pem_.size()) &&
                       ::fsync(fd) == 0;
  const auto problem = written ? Error{} : system_error(beside, "writing");
  ::close(fd);
  if (!written) return std::unexpected(problem);
  if (::rename(beside.c_str(), file.c_str()) != 0) {
    return std::unexpected(system_error(file, "replacing"));
  }
  return {};
}

std::string Identity::tub_id() const { return base32(node_id_); }

std::optional<std::string> pin_of_certificate(ByteView der) {
  const auto* from = der.data();
  Certificate certificate(d2i_X509(nullptr, &from, static_cast<long>(der.size())));
  if (!certificate) return std::nullopt;
  return pin_of(certificate.get());
}

}  // namespace lafs::grid::storage
