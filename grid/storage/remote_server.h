// SPDX-License-Identifier: Apache-2.0
#pragma once

// A storage server reached by HTTPS (spec/storage 4): one pool of keep-alive connections to it, at
// whichever of its places answers. Every request has a deadline, every reply a bound. Errors name
// the server and the verb.

#include "grid/storage/nurl.h"
#include "grid/storage/server.h"

namespace lafs::grid::storage {

class RemoteServer final : public Server {
 public:
  struct Options {
    std::string name;                                    // for messages; empty: host:port
    Duration connect_timeout = std::chrono::seconds(8);  // name look-up, TCP and TLS together
    // Where else it is, with the same key and swissnum: which of its places can be reached depends
    // on where we are. The one that answered last is asked first; the next joins in when it fails,
    // or has said nothing for `head_start`.
    std::vector<Nurl> also_at;
    Duration head_start = std::chrono::milliseconds(300);
    // Until the head of the reply is there, counted from the last byte of the request.
    Duration reply_timeout = std::chrono::seconds(30);
    // A body, either way, must move 64 KiB (or come to its end) within this.
    Duration progress_timeout = std::chrono::seconds(30);
    // How long a request may wait for one of the connections.
    Duration queue_timeout = std::chrono::seconds(60);
    std::size_t max_connections = 16;
    // Tahoe servers drop a connection after 60 s without a request; we let go before.
    Duration idle_timeout = std::chrono::seconds(50);
    // The server asked to hear how its clients fare, and our owner agreed: what we are, and which
    // errors we met with it, goes along when we ask for its version.
    bool reports = false;
  };

  RemoteServer(asio::any_io_executor executor, Nurl nurl, Options options);
  RemoteServer(asio::any_io_executor executor, Nurl nurl);
  ~RemoteServer() override;

  const Nurl& nurl() const;
  std::size_t open_connections() const;
  // How far its clock was ahead of ours when it last told its version; nothing when it gave no
  // time.
  std::optional<std::chrono::seconds> clock_ahead() const;

  Task<Result<ServerVersion>> version() override;
  Task<Result<>> add_lease(StorageIndex si, LeaseSecrets lease) override;
  Task<Result<Allocation>> allocate(StorageIndex si, std::set<ShareNo> numbers,
                                    std::uint64_t share_size, LeaseSecrets lease,
                                    UploadSecret upload) override;
  Task<Result<WriteProgress>> write(StorageIndex si, ShareNo number, UploadSecret upload,
                                    std::uint64_t offset, ByteView data) override;
  Task<Result<>> abort(StorageIndex si, ShareNo number, UploadSecret upload) override;
  Task<Result<std::set<ShareNo>>> list(ShareKind kind, StorageIndex si) override;
  Task<Result<Bytes>> read(ShareKind kind, StorageIndex si, ShareNo number, std::uint64_t offset,
                           std::uint64_t length) override;
  Task<Result<>> advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                std::string reason) override;
  Task<Result<ReadTestWriteReply>> read_test_write(StorageIndex si, MutableSecrets secrets,
                                                   ReadTestWrite request) override;
  // Requests under way end with Errc::closed.
  Task<> close() override;

 private:
  class Connections;
  std::unique_ptr<Connections> connections_;
};

}  // namespace lafs::grid::storage
