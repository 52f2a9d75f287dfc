// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp_service.h"

#include <unistd.h>

#include "frontends/served_root.h"
#include "grid/storage_node.h"

namespace lafs {
namespace {

constexpr auto default_address = "127.0.0.1:8022";

}  // namespace

Result<SftpSettings> SftpSettings::read(const grid::NodeDir& node) {
  SftpSettings out;
  const auto& config = node.config();
  TRY(port, config.text("sftpd", "port"));
  if (port) {
    // As Tahoe writes it: "tcp:8022:interface=127.0.0.1".
    auto places = grid::parse_tub_port(*port);
    if (!places)
      return fail(Errc::bad_config, config.where("sftpd", "port") + ": " + places.error().context);
    for (const auto& place : *places) {
      const bool v6 = place.host.find(':') != place.host.npos;
      out.addresses.push_back((v6 ? "[" + place.host + "]" : place.host) + ":" +
                              std::to_string(place.port));
    }
  } else {
    out.addresses = {default_address};
  }
  TRY(accounts, config.text("sftpd", "accounts.file"));
  out.accounts = accounts ? node.path() / *accounts : node.private_path("accounts");
  out.host_keys = node.private_path("");
  TRY(private_key, config.text("sftpd", "host_privkey_file"));
  TRY(public_key, config.text("sftpd", "host_pubkey_file"));
  if (public_key && !private_key)
    return fail(Errc::bad_config, config.where("sftpd", "host_pubkey_file") +
                                      ": host_pubkey_file without host_privkey_file");
  if (private_key) out.host_key = node.path() / *private_key;
  return out;
}

Task<Result<std::unique_ptr<SftpService>>> SftpService::start(Drive& drive, fs::Login& login,
                                                              SftpSettings settings) {
  std::unique_ptr<SftpService> out(new SftpService(drive));
  const auto& io = drive.session().io();
  CO_TRY(durability, served_durability(settings.durability, drive.session().node()));
  out->durability_ = durability;
  auto make_keys = [&] { return sftp::prepare_host_keys(settings.host_keys, settings.host_key); };
  CO_TRY(keys, co_await offload(io.pool, std::ref(make_keys)));
  out->keys_ = keys;
  sftp::ServerOptions options;
  options.addresses = std::move(settings.addresses);
  options.host_keys = std::move(keys);
  options.connections = settings.connections;
  options.connections_of_one_address = settings.connections_of_address;
  options.caller = {::getuid(), ::getgid()};
  auto* self = out.get();
  out->server_ = std::make_unique<sftp::Server>(
      io.executor, io.pool, login,
      [self](const fs::Account& account) { return self->open_root(account); }, std::move(options));
  CO_TRY_DO(out->server_->start());
  co_return out;
}

SftpService::~SftpService() = default;

Task<Result<std::shared_ptr<fs::Filesystem>>> SftpService::open_root(fs::Account account) {
  auto options = served_root(drive_, account, durability_);
  CO_TRY(view, co_await drive_.root(account.root, std::move(options)));
  co_return std::static_pointer_cast<fs::Filesystem>(view);
}

Task<> SftpService::stop(Duration grace) { co_await server_->stop(grace); }

}  // namespace lafs
