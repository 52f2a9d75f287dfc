// SPDX-License-Identifier: Apache-2.0
#include "grid/crypto/password.h"

#include <sodium.h>

#include <charconv>
#include <cstdlib>

namespace lafs::grid {
namespace {

constexpr std::string_view prefix = "$argon2id$v=19$";
constexpr unsigned most_memory = 1024 * 1024;  // KiB
constexpr unsigned most_passes = 16;

// The number after "m=" or "t=" in the parameters; 0 when it is not there.
unsigned parameter(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == text.npos) return 0;
  unsigned value = 0;
  const auto* begin = text.data() + at + name.size();
  std::from_chars(begin, text.data() + text.size(), value);
  return value;
}

bool ready() {
  static const bool initialised = sodium_init() >= 0;
  return initialised;
}

}  // namespace

std::string hash_password(std::string_view password, PasswordCost cost) {
  const bool least = cost == PasswordCost::least;
  char out[crypto_pwhash_STRBYTES] = {};
  if (!ready() ||
      crypto_pwhash_str_alg(out, password.data(), password.size(),
                            least ? crypto_pwhash_OPSLIMIT_MIN : crypto_pwhash_OPSLIMIT_INTERACTIVE,
                            least ? crypto_pwhash_MEMLIMIT_MIN : crypto_pwhash_MEMLIMIT_INTERACTIVE,
                            crypto_pwhash_ALG_ARGON2ID13) != 0)
    std::abort();  // out of memory
  return out;
}

bool is_password_hash(std::string_view text) {
  if (!text.starts_with(prefix) || text.size() >= crypto_pwhash_STRBYTES) return false;
  const auto rest = text.substr(prefix.size());
  const auto parameters = rest.substr(0, rest.find('$'));
  const unsigned memory = parameter(parameters, "m="), passes = parameter(parameters, "t=");
  return memory >= 8 && memory <= most_memory && passes >= 1 && passes <= most_passes;
}

bool check_password(std::string_view hash, std::string_view password) {
  if (!ready() || !is_password_hash(hash)) return false;
  char text[crypto_pwhash_STRBYTES] = {};  // the library wants it zero-padded
  hash.copy(text, sizeof text - 1);
  return crypto_pwhash_str_verify(text, password.data(), password.size()) == 0;
}

const std::string& nobodys_password() {
  // Random bytes where the hash would be.
  static const std::string hash =
      "$argon2id$v=19$m=65536,t=2,p=1$C0m3/Fkwn5716w6mEftSEw$"
      "KSoNX1OM+jLwIqXj6ZOBFgVjtRLQioJtFSzPlcYXtKU";
  return hash;
}

}  // namespace lafs::grid
