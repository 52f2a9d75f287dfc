// SPDX-License-Identifier: Apache-2.0
#pragma once

// Puts one file on the grid (spec/immutable 10): a literal cap for up to 55 bytes, else n shares
// placed by servers of happiness. Either enough servers hold complete shares and the cap is
// returned, or nothing half-written is left on any server that can be reached.
//
// A server that fails or falls silent while it is written to is replaced: the others' shares go on,
// and its own is sent to another server in a second pass over the source.

#include "grid/immutable/source.h"
#include "grid/immutable/upload_context.h"

namespace lafs::grid {

constexpr std::uint64_t max_literal_size = 55;

struct UploadResult {
  Cap cap;
  UploadReport report;
};

// `source` and what `context` refers to outlive the task. With `key` the file is encrypted under
// that key (random-key mode, or a key from elsewhere), and a source that can be read only once is
// enough; without, the key comes from the contents, and Errc::busy says that these were changed
// meanwhile. Errc::unhappy and Errc::no_servers say which servers were the trouble.
Task<Result<UploadResult>> upload(UploadContext context, const Source& source,
                                  std::optional<Key16> key = std::nullopt);

// Shares known to be bad: server id -> numbers. They count for nothing, and their servers get no
// new ones.
using DistrustedShares = std::map<std::string, std::set<ShareNo>>;

// Sends the shares of a file that are missing, made anew from its ciphertext (spec/immutable 11.3).
// They are placed as in upload(); however happy that is in the end, it is a success. Errc::corrupt
// when the new shares would be those of another file.
Task<Result<UploadReport>> repair_immutable(UploadContext context, ChkVerifyCap cap,
                                            DistrustedShares distrusted);

}  // namespace lafs::grid
