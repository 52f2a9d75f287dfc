// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who may log in to the file servers (SFTP, FTP), and what each of them sees. Two formats in one
// file; docs/formats/accounts.md says them byte by byte. Tahoe's, one account a line:
//
//   alice ssh-ed25519 AAAAC3Nz... URI:DIR2:...
//   bob plainpassword URI:DIR2:...
//
// and ours, in sections:
//
//   [carol]
//   root = tahoe:carol
//   password = $argon2id$v=19$...
//   key = ssh-ed25519 AAAAC3Nz... carol@laptop
//
// Text in, facts out: nothing is opened or checked against a grid here.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::fs {

struct PublicKey {
  std::string type;  // "ssh-ed25519"
  Bytes blob;        // what the base64 text stands for; begins with the type
  std::string comment;

  // "ssh-ed25519 AAAA... comment". bad_argument when it is not that.
  static Result<PublicKey> parse(std::string_view line);
  std::string text() const;
  // "SHA256:..." is made by who has a hash; keys are compared by their blobs.
  bool same_key(const PublicKey& other) const { return equal(blob, other.blob); }
};

// The keys of an authorized_keys file. Lines whose options we do not keep (from=, command= of
// something else than internal-sftp, cert-authority ...) are left out, and said in `skipped`.
struct AuthorizedKeys {
  std::vector<PublicKey> keys;
  std::vector<std::string> skipped;  // "line 3: option from= is not supported"

  static AuthorizedKeys parse(std::string_view text);
};

struct Account {
  std::string name;
  std::string root;        // alias:path or a cap: the directory that is this account's "/"
  std::string home = "/";  // where a session begins, below the root
  std::string password;    // an argon2id text; as it is typed when `clear`; empty: none
  bool clear = false;      // from Tahoe's format
  std::vector<PublicKey> keys;
  std::vector<std::string> key_files;  // authorized_keys files, read at each login
  bool read_only = false;
  std::optional<std::uint64_t> quota;  // bytes of files below the root
  bool in_tahoe_format = false;
};

class Accounts {
 public:
  // bad_config, naming the line, for what is not understood: an account that would let in somebody
  // else than was meant must not come from a typing error.
  static Result<Accounts> parse(std::string_view text);
  std::string text() const;  // comments before a section are kept

  const Account* find(std::string_view name) const;
  Account* find(std::string_view name);
  const std::vector<Account>& all() const { return accounts_; }
  // Errc::exists; bad_argument for a name, root or home that cannot be written.
  Result<> add(Account account);
  bool remove(std::string_view name);

  static Result<> check_name(std::string_view name);

 private:
  std::vector<Account> accounts_;
  std::map<std::string, std::string, std::less<>> comments_;  // by account; "": after the last
};

}  // namespace lafs::fs
