// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/entries.h"

#include "grid/base/netstring.h"
#include "grid/caps/keys.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/directory/names.h"

namespace lafs::grid {

namespace {

constexpr std::size_t salt_size = 16;
constexpr std::size_t mac_size = 32;

// Not the HMAC of RFC 2104: the key is not padded to the hash's block (spec/mutable 8.3).
Hash32 slot_mac(const Key16& key, ByteView salt, ByteView ciphertext) {
  std::array<std::uint8_t, 16> inner_key, outer_key;
  for (std::size_t i = 0; i < inner_key.size(); ++i) {
    inner_key[i] = key.data()[i] ^ 0x36;
    outer_key[i] = key.data()[i] ^ 0x5c;
  }
  Sha256 hasher;
  hasher.update(inner_key);
  hasher.update(salt);
  hasher.update(ciphertext);
  const auto inner = hasher.finish();
  hasher.update(outer_key);
  hasher.update(inner);
  return hasher.finish();
}

std::string_view without_trailing_blanks(std::string_view text) {
  const auto last = text.find_last_not_of(' ');
  return last == text.npos ? std::string_view() : text.substr(0, last + 1);
}

}  // namespace

Bytes encrypt_write_cap(std::string_view write_cap, const Key16& directory_write_key) {
  const auto salt = child_salt(write_cap);
  const auto key = child_key(salt, directory_write_key);
  const auto ciphertext = aes_ctr(key, as_bytes(write_cap));
  Bytes out(salt.begin(), salt.end());
  append(out, ciphertext);
  append(out, slot_mac(key, salt, ciphertext));
  return out;
}

std::string decrypt_write_cap(ByteView rwcapdata, const Key16& directory_write_key) {
  if (rwcapdata.size() <= salt_size + mac_size) return {};
  const auto salt = rwcapdata.first(salt_size);
  const auto ciphertext = rwcapdata.subspan(salt_size, rwcapdata.size() - salt_size - mac_size);
  return to_text(aes_ctr(child_key(salt, directory_write_key), ciphertext));
}

Result<Entries> Entries::unpack(Bytes table, TableKind kind) {
  Entries out(std::move(kind));
  const auto backing = std::make_shared<const Bytes>(std::move(table));
  ByteView rest = *backing;
  while (!rest.empty()) {
    const auto at = backing->size() - rest.size();
    const auto where = "directory: entry at byte " + std::to_string(at);
    auto raw = take_netstring(rest);
    if (!raw) return annotate(raw.error(), where);
    ByteView fields = *raw;
    ByteView field[4];
    for (auto& f : field) {
      auto taken = take_netstring(fields);
      if (!taken) return annotate(taken.error(), where);
      f = *taken;
    }
    auto name = normalise_name(as_text(field[0]));
    if (!name) return fail(Errc::corrupt, where + ": the name is not UTF-8");
    if (out.kind_.immutable && !field[2].empty()) {
      return fail(Errc::corrupt, where + ": a write slot in an immutable directory");
    }
    auto metadata = Metadata::parse(as_text(field[3]));
    if (!metadata) return annotate(metadata.error(), where);
    // What stands behind the four fields goes with the entry, for whoever put it there.
    out.entries_.insert_or_assign(std::move(*name),
                                  Entry{field[1], field[2], std::move(*metadata), backing, *raw});
  }
  return out;
}

Bytes Entries::pack() const {
  Bytes out;
  std::size_t size = 0;
  for (const auto& [name, entry] : entries_) size += entry.raw.size() + 24;
  out.reserve(size);
  for (const auto& [name, entry] : entries_) append_netstring(out, entry.raw);
  return out;
}

const Entry* Entries::find(std::string_view normalised_name) const {
  const auto it = entries_.find(normalised_name);
  return it == entries_.end() ? nullptr : &it->second;
}

ChildCaps Entries::caps(const Entry& entry) const {
  std::string rw;
  if (kind_.write_key) rw = decrypt_write_cap(entry.rwcapdata, *kind_.write_key);
  auto out = ChildCaps::make(without_trailing_blanks(rw),
                             without_trailing_blanks(as_text(entry.read_cap)), kind_.immutable);
  if (!out.problem && kind_.immutable && !out.deeply_immutable()) {
    out.problem = "not immutable, in an immutable directory";
  }
  return out;
}

void Entries::set(const std::string& name, const ChildCaps& caps, const Metadata& metadata) {
  Bytes slot;
  if (!kind_.immutable && kind_.write_key) slot = encrypt_write_cap(caps.rw, *kind_.write_key);
  put(name, as_bytes(caps.stored_ro(kind_.immutable)), slot, metadata);
}

void Entries::set_like(const std::string& name, const Entry& entry, const Metadata& metadata) {
  const auto keep = entry.backing;  // `entry` may be the one that is replaced
  put(name, entry.read_cap, entry.rwcapdata, metadata);
}

void Entries::remove(std::string_view name) {
  if (auto it = entries_.find(name); it != entries_.end()) entries_.erase(it);
}

void Entries::put(const std::string& name, ByteView read_cap, ByteView rwcapdata,
                  const Metadata& metadata) {
  Bytes raw;
  append_netstring(raw, as_bytes(name));
  append_netstring(raw, read_cap);
  append_netstring(raw, rwcapdata);
  append_netstring(raw, as_bytes(metadata.text()));
  Entry entry;
  entry.backing = std::make_shared<const Bytes>(std::move(raw));
  entry.raw = *entry.backing;
  ByteView rest = entry.raw;
  (void)take_netstring(rest);
  entry.read_cap = take_netstring(rest).value_or(ByteView{});
  entry.rwcapdata = take_netstring(rest).value_or(ByteView{});
  entry.metadata = metadata;
  entries_.insert_or_assign(name, std::move(entry));
}

}  // namespace lafs::grid
