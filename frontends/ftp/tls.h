// SPDX-License-Identifier: Apache-2.0
#pragma once

// TLS as an FTP server speaks it: one certificate, 1.2 and 1.3, and tickets that remember which
// control connection they were given to, so that a data connection can prove that it belongs to it.

#include <openssl/types.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "grid/base/result.h"

namespace lafs::ftp {

struct FreeSsl {
  void operator()(SSL_CTX* context) const;
  void operator()(SSL* connection) const;
};

// Names one control connection for its data connections.
using ControlId = std::array<unsigned char, 16>;
ControlId fresh_control_id();

class Tls {
 public:
  // PEM: the certificate, what is between it and an authority, and the key (anywhere in the two
  // files, which may be one). not_found, bad_config.
  static Result<Tls> load(const std::filesystem::path& certificate,
                          const std::filesystem::path& key);
  // load(), or makes a key (P-256) and a certificate of its own for ten years, readable by the
  // owner alone, when there is no file.
  static Result<Tls> load_or_create(const std::filesystem::path& file, const std::string& host);

  // A server's end of a connection, whose bytes the caller moves. `id` outlives it.
  std::unique_ptr<SSL, FreeSsl> accept(const ControlId& id, bool tickets) const;
  // SHA-256 of the certificate, "AA:BB:...": what a person compares.
  std::string fingerprint() const;

 private:
  explicit Tls(std::unique_ptr<SSL_CTX, FreeSsl> context) : context_(std::move(context)) {}
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
};

// After the handshake: remembers the control connection, also for clients without tickets.
void remember_control(SSL* connection, const ControlId& id);
// Whether this connection resumed a session of that control connection.
bool resumed(SSL* connection, const ControlId& id);

}  // namespace lafs::ftp
