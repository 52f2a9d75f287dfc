// SPDX-License-Identifier: Apache-2.0
#include "grid/file_stream.h"

#include <boost/asio/this_coro.hpp>

namespace lafs::grid {

Task<Result<std::unique_ptr<ChkStream>>> open_stream(Client& client, ChkCap cap,
                                                     std::uint64_t offset, std::uint64_t length) {
  CO_TRY(file, co_await client.immutable_file(verifier_of(cap)));
  auto executor = co_await asio::this_coro::executor;
  co_return std::make_unique<ChkStream>(executor, std::move(file), cap.key, client.pool(), offset,
                                        length);
}

}  // namespace lafs::grid
