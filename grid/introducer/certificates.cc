// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/certificates.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "grid/base/base32.h"

namespace lafs::grid::introducer {

namespace json = boost::json;

namespace {

std::unexpected<Error> bad(std::string what) {
  return fail(Errc::corrupt, "grid manager certificate: " + std::move(what));
}

// Takes exactly `digits` decimal digits from the front.
std::optional<int> take(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int out = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return out;
}

bool skip(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<WallTime> parse_iso_time(std::string_view text) {
  using namespace std::chrono;
  const auto y = take(text, 4);
  if (!y || !skip(text, '-')) return std::nullopt;
  const auto mo = take(text, 2);
  if (!mo || !skip(text, '-')) return std::nullopt;
  const auto d = take(text, 2);
  if (!d || !(skip(text, 'T') || skip(text, ' '))) return std::nullopt;
  const auto h = take(text, 2);
  if (!h || !skip(text, ':')) return std::nullopt;
  const auto mi = take(text, 2);
  if (!mi) return std::nullopt;
  int s = 0;
  std::int64_t fraction = 0;
  if (skip(text, ':')) {
    const auto sec = take(text, 2);
    if (!sec) return std::nullopt;
    s = *sec;
    if (skip(text, '.')) {
      std::size_t digits = 0;
      while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
      if (digits == 0) return std::nullopt;
      for (std::size_t i = 0; i < 6; ++i)
        fraction = fraction * 10 + (i < digits ? text[i] - '0' : 0);
      text.remove_prefix(digits);
    }
  }
  const auto date = year(*y) / month(static_cast<unsigned>(*mo)) / day(static_cast<unsigned>(*d));
  if (!date.ok() || *h > 23 || *mi > 59 || s > 59) return std::nullopt;
  auto offset = minutes(0);
  if (!skip(text, 'Z')) {
    const bool minus = text.starts_with('-');
    if (!skip(text, '+') && !skip(text, '-')) return std::nullopt;
    const auto oh = take(text, 2);
    if (!oh) return std::nullopt;
    skip(text, ':');
    const auto om = take(text, 2);
    if (!om) return std::nullopt;
    offset = hours(*oh) + minutes(*om);
    if (minus) offset = -offset;
  }
  if (!text.empty()) return std::nullopt;
  return WallTime(sys_days(date) + hours(*h) + minutes(*mi) + seconds(s) + microseconds(fraction) -
                  offset);
}

Result<CheckedCertificate> check_certificate(const GridCertificate& certificate,
                                             const std::vector<Ed25519Public>& managers) {
  const auto signature = from_base32(certificate.signature);
  if (!signature || signature->size() != 64) return bad("no signature");
  const bool known = std::ranges::any_of(managers, [&](const Ed25519Public& manager) {
    return ed25519_verify(manager, as_bytes(certificate.certificate), *signature);
  });
  if (!known) return bad("no configured manager signed it");
  return read_certificate(certificate);
}

Result<CheckedCertificate> read_certificate(const GridCertificate& certificate) {
  boost::system::error_code error;
  const auto value = json::parse(certificate.certificate, error);
  const auto* from = error ? nullptr : value.if_object();
  const auto* key = from ? from->if_contains("public_key") : nullptr;
  const auto* expires = from ? from->if_contains("expires") : nullptr;
  if (!key || !key->is_string() || !expires || !expires->is_string()) return bad("malformed");
  const auto until = parse_iso_time(std::string_view(expires->get_string()));
  if (!until) return bad("a malformed date");
  const auto* notice = from->if_contains("notice");
  return CheckedCertificate{
      std::string(key->get_string()), *until,
      notice && notice->is_string() ? std::string(notice->get_string()).substr(0, 1000) : ""};
}

UploadPermission upload_permission(const std::string& server_id,
                                   const std::vector<GridCertificate>& certificates,
                                   const std::vector<Ed25519Public>& managers, WallTime now) {
  if (managers.empty()) return {};
  UploadPermission out;
  out.permitted = false;
  for (const auto& certificate : certificates) {
    const auto checked = check_certificate(certificate, managers);
    if (!checked || checked->public_key != "pub-" + server_id) continue;
    if (out.expires && *out.expires >= checked->expires) continue;
    out.expires = checked->expires;
    out.notice = checked->notice;
  }
  out.permitted = out.expires && *out.expires > now;
  return out;
}

Result<GridCertificate> parse_certificate_file(std::string_view text, const std::string& file) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  const auto* from = error ? nullptr : value.if_object();
  const auto* certificate = from ? from->if_contains("certificate") : nullptr;
  const auto* signature = from ? from->if_contains("signature") : nullptr;
  if (!from || from->size() != 2 || !certificate || !certificate->is_string() || !signature ||
      !signature->is_string()) {
    return fail(Errc::bad_config, file +
                                      ": not a grid manager's certificate; it holds exactly "
                                      "\"certificate\" and \"signature\"");
  }
  return GridCertificate{std::string(certificate->get_string()),
                         std::string(signature->get_string())};
}

}  // namespace lafs::grid::introducer
