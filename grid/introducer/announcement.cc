// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/announcement.h"

#include <algorithm>
#include <boost/json.hpp>

#include "grid/base/base32.h"

namespace lafs::grid::introducer {

namespace json = boost::json;

namespace {

constexpr std::size_t largest_message = 128u << 10;
constexpr std::size_t most_nurls = 32, most_certificates = 32;
constexpr std::size_t longest_name = 200, longest_notice = 1000;

std::unexpected<Error> wrong(std::string what) {
  return fail(Errc::protocol, "announcement: " + std::move(what));
}

// The same value with the keys of every object in order.
json::value sorted(const json::value& value) {
  if (const auto* object = value.if_object()) {
    std::vector<std::string_view> keys;
    for (const auto& member : *object) keys.emplace_back(member.key());
    std::ranges::sort(keys);
    json::object out;
    for (const auto key : keys) out.emplace(key, sorted(object->at(key)));
    return out;
  }
  if (const auto* array = value.if_array()) {
    json::array out;
    for (const auto& item : *array) out.push_back(sorted(item));
    return out;
  }
  return value;
}

std::string text_of(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(*text) : std::string{};
}

// At most so many bytes of a text that is shown to people, without half a character at its end.
std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  text.resize(most);
  return text;
}

std::optional<json::value> parse(std::string_view text) {
  if (text.size() > largest_message) return std::nullopt;
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 16;
  auto value = json::parse(text, error, {}, options);
  if (error) return std::nullopt;
  return value;
}

}  // namespace

std::string key_text(const Ed25519Public& key) { return "v0-" + base32(key); }

std::optional<Ed25519Public> key_from_text(std::string_view text) {
  if (!text.starts_with("v0-")) return std::nullopt;
  return array_from_base32<32>(text.substr(3));
}

std::optional<Ed25519Public> public_key_from_text(std::string_view text) {
  if (!text.starts_with("pub-")) return std::nullopt;
  return key_from_text(text.substr(4));
}

std::optional<Secret32> private_key_from_text(std::string_view text) {
  if (!text.starts_with("priv-v0-")) return std::nullopt;
  const auto raw = array_from_base32<32>(text.substr(8));
  if (!raw) return std::nullopt;
  return Secret32(*raw);
}

Result<Announcement> verify(const SignedAnnouncement& from) {
  const auto key = key_from_text(from.key);
  if (!key || !from.signature.starts_with("v0-")) return wrong("no key or signature");
  const auto signature = from_base32(std::string_view(from.signature).substr(3));
  if (!signature || signature->size() != 64 ||
      !ed25519_verify(*key, as_bytes(from.message), *signature)) {
    return fail(Errc::corrupt, "announcement of " + from.key + ": the signature is not its own");
  }
  return read_announcement(from.message, from.key);
}

Result<Announcement> read_announcement(std::string_view text, std::string server_id) {
  const auto value = parse(text);
  const auto* from = value ? value->if_object() : nullptr;
  if (!from) return wrong("not a JSON object");
  Announcement out;
  out.server_id = std::move(server_id);
  out.service = text_of(*from, "service-name");
  if (out.service.empty()) return wrong("no service-name");
  out.nickname = shortened(text_of(*from, "nickname"), longest_name);
  out.version = shortened(text_of(*from, "my-version"), longest_name);
  if (const auto* number = from->if_contains("seqnum")) {
    if (number->is_int64()) out.number = number->get_int64();
  }
  out.furl = text_of(*from, "anonymous-storage-FURL");
  if (const auto* nurls = from->if_contains("anonymous-storage-NURLs")) {
    if (const auto* list = nurls->if_array()) {
      for (const auto& nurl : *list) {
        if (out.nurls.size() == most_nurls) break;
        if (const auto* one = nurl.if_string()) out.nurls.emplace_back(*one);
      }
    }
  }
  if (auto seed = text_of(*from, "permutation-seed-base32"); !seed.empty())
    out.permutation_seed = std::move(seed);
  if (const auto* certificates = from->if_contains("grid-manager-certificates")) {
    if (const auto* list = certificates->if_array()) {
      for (const auto& item : *list) {
        const auto* one = item.if_object();
        if (!one || out.certificates.size() == most_certificates) continue;
        out.certificates.push_back({text_of(*one, "certificate"), text_of(*one, "signature")});
      }
    }
  }
  out.notice = shortened(text_of(*from, "lafs-notice"), longest_notice);
  if (const auto* asks = from->if_contains("lafs-feedback"))
    out.asks_feedback = asks->is_bool() && asks->get_bool();
  out.content = json::serialize(sorted(*value));
  return out;
}

SignedAnnouncement sign(std::string message, const Secret32& key) {
  SignedAnnouncement out;
  out.signature = "v0-" + base32(ed25519_sign(key, as_bytes(message)));
  out.key = key_text(ed25519_public(key));
  out.message = std::move(message);
  return out;
}

std::string announcement_message(const OwnAnnouncement& what) {
  json::object out;
  out["version"] = 0;
  out["nickname"] = what.nickname;
  out["app-versions"] = json::array();
  out["my-version"] = what.version;
  out["oldest-supported"] = "1.0.0";
  out["service-name"] = "storage";
  out["permutation-seed-base32"] = what.permutation_seed;
  out["anonymous-storage-FURL"] = what.furl;
  // A stable order: receivers compare announcements for equality.
  auto nurls = what.nurls;
  std::ranges::sort(nurls);
  out["anonymous-storage-NURLs"] = json::value_from(nurls);
  if (!what.certificates.empty()) {
    json::array list;
    for (const auto& c : what.certificates)
      list.push_back(json::object{{"certificate", c.certificate}, {"signature", c.signature}});
    out["grid-manager-certificates"] = std::move(list);
  }
  if (!what.notice.empty()) out["lafs-notice"] = what.notice;
  if (what.asks_feedback) out["lafs-feedback"] = true;
  out["seqnum"] = what.number;
  out["nonce"] = what.nonce;
  return json::serialize(out);
}

}  // namespace lafs::grid::introducer
