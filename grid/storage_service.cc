// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_service.h"

#include "grid/server/disk_server.h"
#include "grid/server/http_service.h"

namespace lafs::grid {

struct StorageService::Parts {
  std::unique_ptr<storage::DiskServer> disk;
  std::unique_ptr<storage::HttpService> http;
};

StorageService::StorageService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
StorageService::~StorageService() = default;

Task<Result<std::unique_ptr<StorageService>>> StorageService::start(asio::any_io_executor executor,
                                                                    Pool& pool, const NodeDir& node,
                                                                    const StorageNode& who) {
  storage::DiskServer::Options disk_options;
  disk_options.directory = node.storage().directory;
  disk_options.node_id = who.identity.node_id();
  disk_options.reserved_space = node.storage().reserved_space;
  disk_options.read_only = node.storage().read_only;
  auto parts = std::make_unique<Parts>();
  CO_TRY(disk, storage::DiskServer::open(executor, pool, std::move(disk_options)));
  parts->disk = std::move(disk);
  storage::HttpService::Options http_options;
  http_options.swissnum = who.swissnum;
  parts->http = std::make_unique<storage::HttpService>(executor, *parts->disk, who.identity,
                                                       std::move(http_options));
  std::unique_ptr<StorageService> service(new StorageService(std::move(parts)));
  for (const auto& at : who.listen) {
    auto port = co_await service->parts_->http->listen(at.host, at.port);
    if (!port) {
      co_await service->close();
      co_return annotate(std::move(port.error()),
                         "listen on " + at.host + ":" + std::to_string(at.port));
    }
  }
  co_return service;
}

Task<> StorageService::close() {
  co_await parts_->http->close();
  co_await parts_->disk->close();
}

}  // namespace lafs::grid
