// SPDX-License-Identifier: Apache-2.0
#include "grid/caps/cap.h"

#include "grid/base/netstring.h"
#include "grid/caps/keys.h"

namespace lafs::grid {
namespace {

enum class Form : std::uint8_t {
  lit,
  chk,
  chk_verify,
  sdmf_write,
  sdmf_read,
  sdmf_verify,
  mdmf_write,
  mdmf_read,
  mdmf_verify,
};

struct Prefix {
  std::string_view text;
  Form form;
  bool directory;
};

// No prefix begins another one: the colon ends each.
constexpr Prefix kPrefixes[] = {
    {"URI:LIT:", Form::lit, false},
    {"URI:CHK:", Form::chk, false},
    {"URI:CHK-Verifier:", Form::chk_verify, false},
    {"URI:SSK:", Form::sdmf_write, false},
    {"URI:SSK-RO:", Form::sdmf_read, false},
    {"URI:SSK-Verifier:", Form::sdmf_verify, false},
    {"URI:MDMF:", Form::mdmf_write, false},
    {"URI:MDMF-RO:", Form::mdmf_read, false},
    {"URI:MDMF-Verifier:", Form::mdmf_verify, false},
    {"URI:DIR2-LIT:", Form::lit, true},
    {"URI:DIR2-CHK:", Form::chk, true},
    {"URI:DIR2-CHK-Verifier:", Form::chk_verify, true},
    {"URI:DIR2:", Form::sdmf_write, true},
    {"URI:DIR2-RO:", Form::sdmf_read, true},
    {"URI:DIR2-Verifier:", Form::sdmf_verify, true},
    {"URI:DIR2-MDMF:", Form::mdmf_write, true},
    {"URI:DIR2-MDMF-RO:", Form::mdmf_read, true},
    {"URI:DIR2-MDMF-Verifier:", Form::mdmf_verify, true},
};

const Prefix* find_prefix(std::string_view text) {
  for (const Prefix& prefix : kPrefixes)
    if (text.starts_with(prefix.text)) return &prefix;
  return nullptr;
}

std::string_view prefix_text(Form form, bool directory) {
  for (const Prefix& prefix : kPrefixes)
    if (prefix.form == form && prefix.directory == directory) return prefix.text;
  return {};
}

MutableFormat format_of(Form form) {
  return form >= Form::mdmf_write ? MutableFormat::mdmf : MutableFormat::sdmf;
}
Form form_of(MutableFormat format, Form sdmf) {
  return format == MutableFormat::sdmf ? sdmf
                                       : Form(std::uint8_t(sdmf) + std::uint8_t(Form::mdmf_write) -
                                              std::uint8_t(Form::sdmf_write));
}

bool is_write(Form form) { return form == Form::sdmf_write || form == Form::mdmf_write; }
bool is_mutable_read(Form form) { return form == Form::sdmf_read || form == Form::mdmf_read; }

// Strips `affix` off the front of `text`.
bool take(std::string_view& text, std::string_view affix) {
  if (!text.starts_with(affix)) return false;
  text.remove_prefix(affix.size());
  return true;
}

// Forms whose end is checked tolerate one trailing line feed, an accident of the original's regular
// expressions that hand-made alias files rely on.
bool at_end(std::string_view rest) { return rest.empty() || rest == "\n"; }

template <std::size_t N>
bool take_base32(std::string_view& text, std::array<std::uint8_t, N>& out) {
  const auto bytes = array_from_base32<N>(text.substr(0, (N * 8 + 4) / 5));
  if (!bytes) return false;
  out = *bytes;
  text.remove_prefix((N * 8 + 4) / 5);
  return true;
}

// A whole run of digits. Numbers that do not fit 64 bits make the cap malformed.
bool take_number(std::string_view& text, std::uint64_t& out) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_decimal(text.substr(0, digits));
  if (!number) return false;
  out = *number;
  text.remove_prefix(digits);
  return true;
}

using Object = std::optional<Cap::Object>;

Object parse_lit(std::string_view rest) {
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  auto data = from_base32(rest);
  if (!data) return std::nullopt;
  return LitCap{std::move(*data)};
}

Object parse_chk(Form form, std::string_view rest) {
  std::array<std::uint8_t, 16> key;
  Hash32 ueb_hash;
  std::uint64_t k, n, size;
  if (!take_base32(rest, key) || !take(rest, ":") || !take_base32(rest, ueb_hash) ||
      !take(rest, ":") || !take_number(rest, k) || !take(rest, ":") || !take_number(rest, n) ||
      !take(rest, ":") || !take_number(rest, size))
    return std::nullopt;
  // Whatever follows the last number of a verify cap is ignored, as the original does.
  if (form == Form::chk_verify) return ChkVerifyCap{StorageIndex{key}, ueb_hash, k, n, size};
  if (!at_end(rest)) return std::nullopt;
  return ChkCap{Key16(key), ueb_hash, k, n, size};
}

Object parse_mutable(Form form, std::string_view rest) {
  const MutableFormat format = format_of(form);
  std::array<std::uint8_t, 16> key;
  Hash32 fingerprint;
  if (!take_base32(rest, key) || !take(rest, ":") || !take_base32(rest, fingerprint))
    return std::nullopt;
  // Older writers appended hints to MDMF caps (":k:segment size"): dropped.
  const bool hints = format == MutableFormat::mdmf && rest.starts_with(':');
  if (!hints && !at_end(rest)) return std::nullopt;
  if (is_write(form)) return MutableWriteCap{format, Key16(key), fingerprint};
  if (is_mutable_read(form)) return MutableReadCap{format, Key16(key), fingerprint};
  return MutableVerifyCap{format, StorageIndex{key}, fingerprint};
}

Object parse_object(Form form, std::string_view rest) {
  switch (form) {
    case Form::lit:
      return parse_lit(rest);
    case Form::chk:
    case Form::chk_verify:
      return parse_chk(form, rest);
    case Form::sdmf_write:
    case Form::sdmf_read:
    case Form::sdmf_verify:
    case Form::mdmf_write:
    case Form::mdmf_read:
    case Form::mdmf_verify:
      return parse_mutable(form, rest);
  }
  return std::nullopt;
}

// Prints the fields behind a prefix.
struct Printer {
  bool directory;

  std::string operator()(const LitCap& c) const { return start(Form::lit) + base32(c.data); }
  std::string operator()(const ChkCap& c) const {
    return start(Form::chk) + two(c.key.view(), c.ueb_hash) + numbers(c);
  }
  std::string operator()(const ChkVerifyCap& c) const {
    return start(Form::chk_verify) + two(c.storage_index.bytes, c.ueb_hash) + numbers(c);
  }
  std::string operator()(const MutableWriteCap& c) const {
    return start(form_of(c.format, Form::sdmf_write)) + two(c.write_key.view(), c.fingerprint);
  }
  std::string operator()(const MutableReadCap& c) const {
    return start(form_of(c.format, Form::sdmf_read)) + two(c.read_key.view(), c.fingerprint);
  }
  std::string operator()(const MutableVerifyCap& c) const {
    return start(form_of(c.format, Form::sdmf_verify)) + two(c.storage_index.bytes, c.fingerprint);
  }
  std::string operator()(const UnknownCap& c) const { return c.text; }

 private:
  std::string start(Form form) const { return std::string(prefix_text(form, directory)); }
  static std::string two(ByteView key, ByteView hash) { return base32(key) + ":" + base32(hash); }
  template <class C>
  static std::string numbers(const C& c) {
    return ":" + std::to_string(c.k) + ":" + std::to_string(c.n) + ":" + std::to_string(c.size);
  }
};

// The original reserves these two for its tests of caps from the future.
bool writable_from_the_future(std::string_view text) {
  return text.starts_with("x-tahoe-future-test-writeable:");
}
bool mutable_from_the_future(std::string_view text) {
  return text.starts_with("x-tahoe-future-test-mutable:");
}

std::string_view without_alleged_prefix(std::string_view text) {
  if (!take(text, "imm.")) take(text, "ro.");
  return text;
}

}  // namespace

Cap Cap::parse(std::string_view text, bool deep_immutable) {
  using Problem = UnknownCap::Problem;
  bool may_write = !deep_immutable;
  bool may_mutate = !deep_immutable;
  std::string_view rest = text;
  if (take(rest, "imm."))
    may_write = may_mutate = false;
  else if (take(rest, "ro."))
    may_write = false;

  auto unknown = [&](Problem problem) { return Cap(UnknownCap{std::string(text), problem}); };
  const Problem violation =
      may_mutate ? Problem::must_be_read_only : Problem::must_be_deep_immutable;

  const Prefix* prefix = find_prefix(rest);
  if (!prefix) {
    const bool violated = (!may_write && writable_from_the_future(rest)) ||
                          (!may_mutate && mutable_from_the_future(rest));
    return unknown(violated ? violation : Problem::none);
  }
  if ((is_write(prefix->form) && !may_write) || (is_mutable_read(prefix->form) && !may_mutate))
    return unknown(violation);
  auto object = parse_object(prefix->form, rest.substr(prefix->text.size()));
  if (!object) return unknown(Problem::bad_uri);
  return Cap(std::move(*object), prefix->directory);
}

Result<Cap> Cap::parse_known(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
  Cap cap = parse(text);
  const auto* unknown = cap.as<UnknownCap>();
  if (!unknown) return cap;
  // The text may be a mistyped secret: only its kind may appear in a message.
  switch (unknown->problem) {
    case UnknownCap::Problem::none:
      break;
    case UnknownCap::Problem::bad_uri:
      return fail(Errc::bad_cap, "this begins like a " +
                                     std::string(find_prefix(without_alleged_prefix(text))->text) +
                                     " cap but is damaged; is it complete?");
    case UnknownCap::Problem::must_be_deep_immutable:
      return fail(Errc::bad_cap, "the prefix imm. stands before a cap of something mutable");
    case UnknownCap::Problem::must_be_read_only:
      return fail(Errc::bad_cap, "the prefix ro. stands before a write cap");
  }
  if (text.empty()) return fail(Errc::bad_cap, "the cap is empty");
  if (has_cap_prefix(text)) return fail(Errc::bad_cap, "this kind of cap is not known to lafs");
  return fail(Errc::bad_cap, "not a capability: they begin with URI:");
}

std::string Cap::text() const { return std::visit(Printer{directory_}, object_); }

std::optional<std::uint64_t> Cap::size() const {
  if (const auto* lit = as<LitCap>()) return lit->data.size();
  if (const auto* chk = as<ChkCap>()) return chk->size;
  if (const auto* verifier = as<ChkVerifyCap>()) return verifier->size;
  return std::nullopt;
}

std::optional<Cap> Cap::read_only() const {
  if (is_unknown()) return std::nullopt;
  if (const auto* write = as<MutableWriteCap>())
    return Cap(MutableReadCap{write->format, read_key_of(write->write_key), write->fingerprint},
               directory_);
  return *this;
}

std::optional<Cap> Cap::verifier() const {
  if (is_unknown() || is_literal()) return std::nullopt;
  if (is_verifier()) return *this;
  if (const auto* chk = as<ChkCap>())
    return Cap(ChkVerifyCap{storage_index_of(chk->key), chk->ueb_hash, chk->k, chk->n, chk->size},
               directory_);
  const auto readable = read_only();
  const auto* read = readable->as<MutableReadCap>();
  return Cap(
      MutableVerifyCap{read->format, mutable_storage_index_of(read->read_key), read->fingerprint},
      directory_);
}

std::optional<StorageIndex> Cap::storage_index() const {
  const auto weakest = verifier();
  if (!weakest) return std::nullopt;
  if (const auto* chk = weakest->as<ChkVerifyCap>()) return chk->storage_index;
  return weakest->as<MutableVerifyCap>()->storage_index;
}

bool has_cap_prefix(std::string_view text) {
  return without_alleged_prefix(text).starts_with("URI:");
}

bool has_literal_prefix(std::string_view text) {
  return without_alleged_prefix(text).starts_with("URI:LIT:");
}

}  // namespace lafs::grid
