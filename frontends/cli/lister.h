// SPDX-License-Identifier: Apache-2.0
#pragma once

// How grid::walk() lists a directory of a command's session, which outlives the walk.

#include "frontends/cli/session.h"
#include "grid/walk.h"

namespace lafs::cli {

inline Task<Result<grid::Listing>> list_directory(grid::Client& client, grid::Cap cap) {
  CO_TRY(directory, co_await client.directory(std::move(cap)));
  co_return co_await directory->list();
}

inline grid::Lister lister(Session& session) {
  return [&session](grid::Cap cap) { return list_directory(session.client(), std::move(cap)); };
}

}  // namespace lafs::cli
