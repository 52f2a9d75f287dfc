// SPDX-License-Identifier: Apache-2.0
#pragma once

// One answer on the control connection (RFC 959, 4.2).

#include <string>
#include <string_view>
#include <vector>

namespace lafs::ftp {

struct Reply {
  int code = 0;
  std::string text;
  // Between the first line and the last, indented; `last` is the text of the last line then.
  std::vector<std::string> lines = {};
  std::string last = "End";

  // With CR LF. Control characters of names become '?', so that no name can make up a reply.
  std::string wire() const;
  bool operator==(const Reply&) const = default;
};

// RFC 959: 257 "path", where quotes in the path are doubled.
std::string quoted_path(std::string_view path);

}  // namespace lafs::ftp
