// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_service.h"

#include <cmath>

#include "grid/own_share_check.h"
#include "grid/server/collector.h"
#include "grid/server/disk_server.h"
#include "grid/server/http_service.h"

namespace lafs::grid {

namespace {

// Threads that wait for the disk: what they do is mostly waiting, so the number of CPUs is no
// measure for them.
constexpr unsigned disk_threads = 8;

// Figures are never taken away: those of a service that has gone are gaps. `alive` goes with it.
class Asker {
 public:
  Asker(metrics::Registry& metrics, std::weak_ptr<void> alive)
      : metrics_(metrics), alive_(std::move(alive)) {}
  void ask(const std::string& name, std::string_view help, const metrics::Labels& labels,
           std::function<double()> now) {
    metrics_.ask(name, help, labels,
                 [alive = alive_, now = std::move(now)] { return alive.expired() ? NAN : now(); });
  }

 private:
  metrics::Registry& metrics_;
  std::weak_ptr<void> alive_;
};

void show(Asker metrics, storage::DiskServer& disk, storage::HttpService& http,
          const storage::Collector& collector) {
  metrics.ask("lafs_storage_available_bytes", "Bytes that new shares may take.", {},
              [&disk] { return static_cast<double>(disk.available_space()); });
  metrics.ask("lafs_storage_promised_bytes", "Bytes promised to uploads and not written yet.", {},
              [&disk] { return static_cast<double>(disk.promised_space()); });
  metrics.ask("lafs_storage_uploads", "Uploads in progress.", {},
              [&disk] { return static_cast<double>(disk.uploads_in_progress()); });
  metrics.ask("lafs_storage_open_connections", "Connections.", {{"state", "idle"}},
              [&http] { return static_cast<double>(http.idle_connections()); });
  metrics.ask("lafs_storage_open_connections", "Connections.", {{"state", "busy"}}, [&http] {
    return static_cast<double>(http.connections() - http.idle_connections());
  });
  using storage::Amount;
  using storage::ByKind;
  const std::pair<const char*, Amount ByKind::*> kinds[] = {{"immutable", &ByKind::immutable},
                                                            {"mutable", &ByKind::mutable_}};
  for (const auto& [name, kind] : kinds) {
    const metrics::Labels labels{{"kind", name}};
    // Nothing known: NaN, which Prometheus shows as a gap.
    metrics.ask("lafs_storage_shares", "Complete shares.", labels, [&disk, kind = kind] {
      const auto usage = disk.usage();
      return usage ? static_cast<double>(((*usage).*kind).shares) : NAN;
    });
    metrics.ask("lafs_storage_share_bytes", "Bytes of the disk that complete shares take.", labels,
                [&disk, kind = kind] {
                  const auto usage = disk.usage();
                  return usage ? static_cast<double>(((*usage).*kind).disk_bytes) : NAN;
                });
  }
  // Of the last walk that has ended.
  const auto last = [&collector](auto what) {
    return [&collector, what] {
      const auto& history = collector.state().history;
      return history.empty() ? NAN : static_cast<double>(what(history.back()));
    };
  };
  using Cycle = storage::CollectionCycle;
  metrics.ask("lafs_storage_walk_end_seconds", "When the last walk over the shares ended.", {},
              last([](const Cycle& c) { return c.finished; }));
  metrics.ask("lafs_storage_walk_leases", "Leases that the last walk met.", {},
              last([](const Cycle& c) { return c.tally.leases; }));
  metrics.ask("lafs_storage_walk_expired_shares", "Shares whose leases had all run out.", {},
              last([](const Cycle& c) { return c.tally.expired.total().shares; }));
  metrics.ask("lafs_storage_walk_removed_shares", "Shares that the last walk removed.", {},
              last([](const Cycle& c) { return c.tally.removed.total().shares; }));
  metrics.ask("lafs_storage_walk_removed_bytes", "Bytes that the last walk freed.", {},
              last([](const Cycle& c) { return c.tally.removed.total().disk_bytes; }));
}

}  // namespace

struct StorageService::Parts {
  Pool disk_pool{disk_threads};
  std::unique_ptr<storage::DiskServer> disk;
  std::unique_ptr<storage::HttpService> http;
  std::unique_ptr<storage::Collector> collector;
  std::shared_ptr<void> alive = std::make_shared<int>();
};

StorageService::StorageService(asio::any_io_executor executor, std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)), gate_(std::move(executor)) {}
StorageService::~StorageService() = default;

Task<Result<std::unique_ptr<StorageService>>> StorageService::start(asio::any_io_executor executor,
                                                                    Pool& pool, const NodeDir& node,
                                                                    const StorageNode& who,
                                                                    metrics::Registry& metrics) {
  const auto& config = node.storage();
  auto parts = std::make_unique<Parts>();
  storage::DiskServer::Options disk_options;
  disk_options.directory = config.directory;
  disk_options.node_id = who.identity.node_id();
  disk_options.reserved_space = config.reserved_space;
  disk_options.size_limit = config.size_limit;
  disk_options.read_only = config.read_only;
  disk_options.upload_timeout = config.upload_timeout;
  disk_options.check_share = [&pool](storage::Server& server, storage::ShareKind kind,
                                     StorageIndex si, ShareNo number) {
    return check_own_share(server, kind, si, number, pool);
  };
  CO_TRY(disk, storage::DiskServer::open(executor, parts->disk_pool, std::move(disk_options)));
  parts->disk = std::move(disk);
  storage::HttpService::Options http_options;
  http_options.swissnum = who.swissnum;
  http_options.max_connections = config.max_connections;
  http_options.max_connections_per_peer = config.max_connections_per_peer;
  http_options.metrics = &metrics;
  parts->http = std::make_unique<storage::HttpService>(executor, *parts->disk, who.identity,
                                                       std::move(http_options));
  storage::Collector::Options collector_options;
  collector_options.directory = config.directory;
  collector_options.policy = config.expiry;
  parts->collector = std::make_unique<storage::Collector>(executor, parts->disk_pool, *parts->disk,
                                                          std::move(collector_options));
  show({metrics, parts->alive}, *parts->disk, *parts->http, *parts->collector);
  std::unique_ptr<StorageService> service(new StorageService(executor, std::move(parts)));
  for (const auto& at : who.listen) {
    auto port = co_await service->parts_->http->listen(at.host, at.port);
    if (!port) {
      co_await service->close();
      co_return annotate(std::move(port.error()),
                         "listen on " + at.host + ":" + std::to_string(at.port));
    }
  }
  service->parts_->collector->start();
  co_return service;
}

void StorageService::apply(const StorageConfig& config) {
  parts_->disk->set_space(config.reserved_space, config.size_limit, config.read_only);
  parts_->disk->set_upload_timeout(config.upload_timeout);
  parts_->collector->set_policy(config.expiry);
  parts_->http->set_limits(config.max_connections, config.max_connections_per_peer);
}

Task<Result<storage::CollectionCycle>> StorageService::collect(storage::ExpiryPolicy policy,
                                                               Seen seen) {
  const auto pass = gate_.enter();
  if (!pass) co_return fail(Errc::closed, "the storage server is stopping");
  co_return co_await parts_->collector->walk_now(policy, std::move(seen));
}

Task<Result<>> StorageService::rebuild_usage(Seen seen) {
  const auto pass = gate_.enter();
  if (!pass) co_return fail(Errc::closed, "the storage server is stopping");
  co_return co_await parts_->collector->rebuild_usage(std::move(seen));
}

Task<Result<storage::Advisory>> StorageService::check_advisory(std::string file) {
  const auto pass = gate_.enter();
  if (!pass) co_return fail(Errc::closed, "the storage server is stopping");
  co_return co_await parts_->disk->check_advisory(std::move(file));
}

Task<> StorageService::drain(Duration patience) {
  co_await parts_->http->drain(patience);
  co_await close();
}

Task<> StorageService::close() {
  co_await parts_->http->close();
  co_await gate_.close();
  co_await parts_->collector->close();
  co_await parts_->disk->close();
}

}  // namespace lafs::grid
