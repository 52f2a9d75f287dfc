// SPDX-License-Identifier: Apache-2.0
#include "grid/directory/entries.h"

#include <charconv>

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
  thread_local Sha256 hasher;
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

std::size_t netstring_size(std::size_t length) {
  std::size_t digits = 1;
  for (auto n = length; n >= 10; n /= 10) ++digits;
  return digits + 1 + length + 1;
}

}  // namespace

Bytes encrypt_write_cap(std::string_view write_cap, const Key16& directory_write_key) {
  const auto salt = child_salt(write_cap);
  const auto key = child_key(salt, directory_write_key);
  Bytes out(salt_size + write_cap.size() + mac_size);
  std::ranges::copy(salt, out.begin());
  const auto ciphertext = MutableBytes(out).subspan(salt_size, write_cap.size());
  std::ranges::copy(as_bytes(write_cap), ciphertext.begin());
  if (!ciphertext.empty()) AesCtr(key).process(ciphertext);
  std::ranges::copy(slot_mac(key, salt, ciphertext), out.end() - mac_size);
  return out;
}

std::string decrypt_write_cap(ByteView rwcapdata, const Key16& directory_write_key) {
  if (rwcapdata.size() <= salt_size + mac_size) return {};
  const auto salt = rwcapdata.first(salt_size);
  const auto ciphertext = rwcapdata.subspan(salt_size, rwcapdata.size() - salt_size - mac_size);
  return to_text(aes_ctr(child_key(salt, directory_write_key), ciphertext));
}

Entry::Entry(ByteView entry) : raw(entry) {
  ByteView rest = raw;
  (void)take_netstring(rest);
  read_cap = take_netstring(rest).value_or(ByteView{});
  rwcapdata = take_netstring(rest).value_or(ByteView{});
  metadata_text = as_text(take_netstring(rest).value_or(ByteView{}));
}

Metadata Entry::metadata() const { return Metadata::parse(metadata_text).value_or(Metadata()); }

Entries::Entries(TableKind kind) : kind_(std::move(kind)) {
  static const auto empty = std::make_shared<const Table>(Table{std::make_shared<Bytes>(), {}, {}});
  table_ = empty;
}

Result<Entries> Entries::unpack(std::shared_ptr<const Bytes> bytes, TableKind kind) {
  Entries out(std::move(kind));
  auto table = std::make_shared<Table>();
  table->bytes = std::move(bytes);
  ByteView rest = *table->bytes;
  // An entry of a file has some 300 bytes; what is there bounds what is reserved.
  table->rows.reserve(rest.size() / 256);
  bool sorted = true;
  while (!rest.empty()) {
    const auto where = [at = table->bytes->size() - rest.size()] {
      return "directory: entry at byte " + std::to_string(at);
    };
    auto raw = take_netstring(rest);
    if (!raw) return annotate(raw.error(), where());
    ByteView fields = *raw;
    ByteView field[4];
    for (auto& f : field) {
      auto taken = take_netstring(fields);
      if (!taken) return annotate(taken.error(), where());
      f = *taken;
    }
    auto name = as_text(field[0]);
    if (!plainly_normal(name)) {
      auto normal = normalise_name(name);
      if (!normal) return fail(Errc::corrupt, where() + ": the name is not UTF-8");
      if (*normal != name) {
        table->odd_names.push_back(std::make_unique<const std::string>(std::move(*normal)));
        name = *table->odd_names.back();
      }
    }
    if (out.kind_.immutable && !field[2].empty()) {
      return fail(Errc::corrupt, where() + ": a write slot in an immutable directory");
    }
    if (!is_json_object(as_text(field[3]))) {
      return fail(Errc::corrupt, where() + ": the metadata are not a JSON object");
    }
    sorted = sorted && (table->rows.empty() || table->rows.back().name < name);
    // What stands behind the four fields goes with the entry, for whoever put it there.
    table->rows.push_back({name, *raw});
  }
  auto& rows = table->rows;
  if (!sorted) {
    std::ranges::stable_sort(rows, {}, &Row::name);
    std::vector<Row> last_of_each;
    for (const auto& row : rows) {
      if (!last_of_each.empty() && last_of_each.back().name == row.name) last_of_each.pop_back();
      last_of_each.push_back(row);
    }
    rows = std::move(last_of_each);
  }
  out.table_ = std::move(table);
  return out;
}

Entries Entries::make(std::vector<New> entries, TableKind kind) {
  const bool immutable = kind.immutable;
  Maker maker(std::move(kind), entries.size());
  for (const auto& entry : entries) {
    maker.add(entry.name, entry.caps.rw, entry.caps.stored_ro(immutable), entry.metadata_text);
  }
  return std::move(maker).take();
}

void Entries::Maker::add(std::string_view name, std::string_view rw, std::string_view ro,
                         std::string_view metadata_text) {
  const auto slot = out_.write_slot(rw);
  const auto raw = netstring_size(name.size()) + netstring_size(ro.size()) +
                   netstring_size(slot.size()) + netstring_size(metadata_text.size());
  const auto at = bytes_.size();
  const auto whole = netstring_size(raw);
  // The first entry says how long the others may be.
  if (spans_.empty()) {
    bytes_.reserve(expected_ * std::min<std::size_t>(whole + whole / 8, 512));
    spans_.reserve(expected_);
  }
  bytes_.resize(at + whole);
  auto* to = reinterpret_cast<char*>(bytes_.data()) + at;
  const auto put_length = [&to](std::size_t length) {
    to = std::to_chars(to, to + 20, length).ptr;
    *to++ = ':';
  };
  const auto put_netstring = [&](std::string_view value) {
    put_length(value.size());
    to = std::ranges::copy(value, to).out;
    *to++ = ',';
  };
  const auto offset = [&] {
    return static_cast<std::size_t>(to - reinterpret_cast<char*>(bytes_.data()));
  };
  put_length(raw);
  Span span{offset(), raw, 0, name.size()};
  put_netstring(name);
  span.name = offset() - 1 - name.size();
  put_netstring(ro);
  put_netstring(as_text(slot));
  put_netstring(metadata_text);
  *to = ',';
  sorted_ = sorted_ && (spans_.empty() || name_of(spans_.back()) < name);
  spans_.push_back(span);
}

void Entries::Maker::sort() {
  std::ranges::stable_sort(spans_, {}, [this](const Span& span) { return name_of(span); });
  Bytes bytes;
  bytes.reserve(bytes_.size());
  std::vector<Span> spans;
  spans.reserve(spans_.size());
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    auto span = spans_[i];
    if (i + 1 < spans_.size() && name_of(spans_[i + 1]) == name_of(span)) continue;
    append_netstring(bytes, ByteView(bytes_).subspan(span.begin, span.size));
    const auto begin = bytes.size() - 1 - span.size;
    span.name = begin + (span.name - span.begin);
    span.begin = begin;
    spans.push_back(span);
  }
  bytes_ = std::move(bytes);
  spans_ = std::move(spans);
}

Entries Entries::Maker::take() && {
  if (!sorted_) sort();
  auto table = std::make_shared<Table>();
  table->bytes = std::make_shared<const Bytes>(std::move(bytes_));
  table->rows.reserve(spans_.size());
  for (const auto& span : spans_) {
    const ByteView all(*table->bytes);
    table->rows.push_back(
        {as_text(all.subspan(span.name, span.name_size)), all.subspan(span.begin, span.size)});
  }
  out_.table_ = std::move(table);
  return std::move(out_);
}

void Entries::each(
    const std::function<void(std::string_view name, const Entry& entry)>& look) const {
  auto changed = changed_.begin();
  const auto take_changed = [&] {
    if (changed->second) look(changed->first, Entry(*changed->second));
    ++changed;
  };
  for (const auto& row : table_->rows) {
    while (changed != changed_.end() && changed->first < row.name) take_changed();
    if (changed != changed_.end() && changed->first == row.name) {
      take_changed();
    } else {
      look(row.name, Entry(row.raw));
    }
  }
  while (changed != changed_.end()) take_changed();
}

Entries Entries::packed() const {
  Entries out(kind_);
  auto table = std::make_shared<Table>();
  std::size_t bytes = 0;
  const auto count = size();
  // First where everything goes, then the bytes: the rows point into them.
  table->rows.reserve(count);
  auto& rows = table->rows;
  const auto add = [&](std::string_view name, ByteView raw) {
    rows.push_back({name, raw});
    bytes += netstring_size(raw.size());
  };
  auto changed = changed_.begin();
  const auto take_changed = [&] {
    if (changed->second) add(changed->first, *changed->second);
    ++changed;
  };
  for (const auto& row : table_->rows) {
    while (changed != changed_.end() && changed->first < row.name) take_changed();
    if (changed != changed_.end() && changed->first == row.name) {
      take_changed();
    } else {
      add(row.name, row.raw);
    }
  }
  while (changed != changed_.end()) take_changed();

  auto packed = std::make_shared<Bytes>();
  packed->reserve(bytes);
  for (auto& row : rows) {
    append_netstring(*packed, row.raw);
    row.raw = ByteView(*packed).last(row.raw.size() + 1).first(row.raw.size());
    ByteView rest = row.raw;
    const auto stored = as_text(take_netstring(rest).value_or(ByteView{}));
    if (stored == row.name) {
      row.name = stored;
    } else {
      table->odd_names.push_back(std::make_unique<const std::string>(row.name));
      row.name = *table->odd_names.back();
    }
  }
  table->bytes = std::move(packed);
  out.table_ = std::move(table);
  out.empty_slot_ = empty_slot_;
  return out;
}

Bytes Entries::pack() const { return *packed().bytes(); }

std::size_t Entries::size() const { return table_->rows.size() + added_ - removed_; }

const Entries::Row* Entries::row(std::string_view name) const {
  const auto it = std::ranges::lower_bound(table_->rows, name, {}, &Row::name);
  return it != table_->rows.end() && it->name == name ? &*it : nullptr;
}

std::optional<std::size_t> Entries::place(std::string_view name) const {
  const Row* found = row(name);
  if (!found) return std::nullopt;
  return static_cast<std::size_t>(found - table_->rows.data());
}

std::optional<Entry> Entries::find(std::string_view name) const {
  if (const auto it = changed_.find(name); it != changed_.end()) {
    if (!it->second) return std::nullopt;
    return Entry(*it->second);
  }
  const Row* found = row(name);
  if (!found) return std::nullopt;
  return Entry(found->raw);
}

std::optional<std::string_view> Entries::name_from(std::string_view least) const {
  auto it = std::ranges::lower_bound(table_->rows, least, {}, &Row::name);
  while (it != table_->rows.end() && changed_.contains(it->name)) ++it;
  auto changed = changed_.lower_bound(least);
  while (changed != changed_.end() && !changed->second) ++changed;
  std::optional<std::string_view> out;
  if (it != table_->rows.end()) out = it->name;
  if (changed != changed_.end() && (!out || changed->first < *out)) out = changed->first;
  return out;
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

Bytes Entries::write_slot(std::string_view rw) {
  if (kind_.immutable || !kind_.write_key) return {};
  if (!rw.empty()) return encrypt_write_cap(rw, *kind_.write_key);
  if (empty_slot_.empty()) empty_slot_ = encrypt_write_cap({}, *kind_.write_key);
  return empty_slot_;
}

void Entries::set(const std::string& name, const ChildCaps& caps, const Metadata& metadata) {
  put(name, as_bytes(caps.stored_ro(kind_.immutable)), write_slot(caps.rw), metadata.text());
}

void Entries::set_like(const std::string& name, const Entry& entry,
                       std::string_view metadata_text) {
  put(name, entry.read_cap, entry.rwcapdata, metadata_text);
}

void Entries::remove(std::string_view name) {
  const bool in_table = row(name) != nullptr;
  const auto it = changed_.find(name);
  if (it == changed_.end()) {
    if (!in_table) return;
    changed_.emplace(name, nullptr);
    ++removed_;
  } else if (it->second) {
    if (in_table) {
      it->second = nullptr;
      ++removed_;
    } else {
      changed_.erase(it);
      --added_;
    }
  }
}

void Entries::put(const std::string& name, ByteView read_cap, ByteView rwcapdata,
                  std::string_view metadata_text) {
  auto raw = std::make_shared<Bytes>();
  raw->reserve(netstring_size(name.size()) + netstring_size(read_cap.size()) +
               netstring_size(rwcapdata.size()) + netstring_size(metadata_text.size()));
  append_netstring(*raw, as_bytes(name));
  append_netstring(*raw, read_cap);
  append_netstring(*raw, rwcapdata);
  append_netstring(*raw, as_bytes(metadata_text));
  const auto [it, fresh] = changed_.try_emplace(name);
  if (row(name)) {
    if (!fresh && !it->second) --removed_;
  } else if (fresh) {
    ++added_;
  }
  it->second = std::move(raw);
}

}  // namespace lafs::grid
