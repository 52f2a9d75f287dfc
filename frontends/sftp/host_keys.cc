// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/host_keys.h"

#include <libssh/libssh.h>

#include <algorithm>
#include <memory>

#include "grid/node_dir/files.h"

namespace lafs::sftp {
namespace {

struct FreeKey {
  void operator()(ssh_key key) const { ssh_key_free(key); }
};
using Key = std::unique_ptr<std::remove_pointer_t<ssh_key>, FreeKey>;

struct Kind {
  const char* name;
  ssh_keytypes_e type;
  int bits;
};
constexpr Kind kinds[] = {{"ed25519", SSH_KEYTYPE_ED25519, 0},
                          {"ecdsa", SSH_KEYTYPE_ECDSA_P256, 256},
                          {"rsa", SSH_KEYTYPE_RSA, 3072}};

Result<> make_key(const Kind& kind, const std::filesystem::path& file) {
  ssh_key made = nullptr;
  if (ssh_pki_generate(kind.type, kind.bits, &made) != SSH_OK)
    return fail(Errc::internal, "making " + file.string());
  const Key key(made);
  char* text = nullptr;
  if (ssh_pki_export_privkey_base64(key.get(), nullptr, nullptr, nullptr, &text) != SSH_OK)
    return fail(Errc::internal, "writing " + file.string());
  const std::string content(text);
  ssh_string_free_char(text);
  // Of several processes that start at once, one makes it.
  TRY(created, grid::create_file(file, content, grid::private_file));
  (void)created;
  return {};
}

Result<HostKey> read_key(const std::filesystem::path& file) {
  std::error_code error;
  const auto mode = std::filesystem::status(file, error).permissions();
  if ((mode & std::filesystem::perms(077)) != std::filesystem::perms::none && !error)
    return fail(Errc::bad_config, file.string() + " can be read by others; chmod 600 it");
  ssh_key read = nullptr;
  if (ssh_pki_import_privkey_file(file.c_str(), nullptr, nullptr, nullptr, &read) != SSH_OK)
    return fail(Errc::bad_config, file.string() + " is no private key; remove it to get a new one");
  const Key key(read);
  unsigned char* hash = nullptr;
  std::size_t length = 0;
  if (ssh_get_publickey_hash(key.get(), SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != SSH_OK)
    return fail(Errc::internal, file.string());
  char* print = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
  HostKey out{file, print ? print : "", ssh_key_type_to_char(ssh_key_type(key.get()))};
  ssh_string_free_char(print);
  ssh_clean_pubkey_hash(&hash);
  return out;
}

}  // namespace

Result<std::vector<HostKey>> prepare_host_keys(const std::filesystem::path& directory,
                                               const std::optional<std::filesystem::path>& own) {
  std::vector<HostKey> out;
  if (own) {
    std::error_code error;
    if (!std::filesystem::exists(*own, error))
      return fail(Errc::bad_config, "the host key " + own->string() + " does not exist");
    TRY(key, read_key(*own));
    out.push_back(std::move(key));
  }
  for (const auto& kind : kinds) {
    const auto of_kind = [&](const HostKey& key) {
      return key.type.find(kind.name) != key.type.npos;
    };
    if (std::ranges::any_of(out, of_kind)) continue;
    const auto file = directory / ("ssh_host_" + std::string(kind.name) + "_key");
    std::error_code error;
    if (!std::filesystem::exists(file, error)) TRY_DO(make_key(kind, file));
    TRY(key, read_key(file));
    out.push_back(std::move(key));
  }
  return out;
}

}  // namespace lafs::sftp
