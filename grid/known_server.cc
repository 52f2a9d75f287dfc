// SPDX-License-Identifier: Apache-2.0
#include "grid/known_server.h"

#include <fmt/format.h>

#include "grid/storage/remote_server.h"

namespace lafs::grid {

Result<storage::KnownServer> known_server(const ServerEntry& entry, asio::any_io_executor executor,
                                          const ServerWish& wish, bool reports) {
  if (!wish.forbidden.empty()) return fail(Errc::unsupported, entry.id + ": " + wish.forbidden);
  if (wish.use == ServerWish::Use::none)
    return fail(Errc::unsupported, entry.id + ": private/servers.yaml says not to use it");
  std::optional<storage::Nurl> nurl;
  storage::RemoteServer::Options options;
  for (const auto& text : entry.nurls) {
    auto one = storage::Nurl::parse(text);
    if (!one || one->tor) continue;
    if (!nurl) {
      nurl = std::move(*one);
    } else if (one->pin == nurl->pin && one->swissnum == nurl->swissnum) {
      options.also_at.push_back(std::move(*one));
    }
  }
  if (!nurl) {
    return fail(Errc::unsupported,
                entry.id + ": announces no address over HTTPS (anonymous-storage-NURLs)");
  }
  if (!wish.host.empty()) {
    nurl->host = wish.host;
    nurl->port = wish.port;
    options.also_at.clear();
  }
  storage::KnownServer out;
  out.id = entry.id;
  out.nickname = entry.nickname;
  out.permutation_seed = entry.permutation_seed;
  out.lease_seed = entry.lease_seed;
  out.preferred = wish.preferred;
  out.only_read = wish.use == ServerWish::Use::read;
  options.name = out.name();
  options.reports = reports;
  if (wish.timeout) options.reply_timeout = *wish.timeout;
  if (wish.connections) options.max_connections = *wish.connections;
  out.server = std::make_shared<storage::RemoteServer>(std::move(executor), std::move(*nurl),
                                                       std::move(options));
  return out;
}

std::optional<CertificateRemark> certificate_remark(const storage::KnownServer& server,
                                                    std::chrono::system_clock::time_point now) {
  using namespace std::chrono;
  constexpr auto early = days(14);
  if (!server.needs_voucher) return std::nullopt;
  if (!server.vouched_until)
    return CertificateRemark{"no grid manager vouches for it: it gets no new files", true};
  const year_month_day end(floor<days>(*server.vouched_until));
  const auto date =
      fmt::format("{:04}-{:02}-{:02}", static_cast<int>(end.year()),
                  static_cast<unsigned>(end.month()), static_cast<unsigned>(end.day()));
  const auto left = *server.vouched_until - now;
  if (left <= left.zero()) {
    return CertificateRemark{
        "its grid manager's certificate expired on " + date + ": it gets no new files", true};
  }
  if (left >= early) {
    return CertificateRemark{"its grid manager's certificate is good until " + date, false};
  }
  return CertificateRemark{"its grid manager's certificate expires in " +
                               std::to_string(duration_cast<days>(left).count()) + " days, on " +
                               date + "; ask for a new one, or new files stop going there",
                           true};
}

std::optional<std::chrono::seconds> clock_ahead(const storage::KnownServer& server) {
  const auto* remote = dynamic_cast<const storage::RemoteServer*>(server.server.get());
  return remote ? remote->clock_ahead() : std::nullopt;
}

}  // namespace lafs::grid
