// SPDX-License-Identifier: Apache-2.0
#pragma once

// One upload of a session, from its first byte to its name. See partial.h for where it lives.

#include "frontends/fs/walker.h"
#include "frontends/ftp/open_file.h"
#include "frontends/ftp/partial.h"
#include "frontends/ftp/session.h"

namespace lafs::ftp {

struct Session::Upload {
  explicit Upload(fs::Filesystem& files) : part(files) {}

  Do kind = Do::store;
  std::string path;  // as the client named it, for the log
  std::string name;
  fs::NodeRef directory;
  std::optional<fs::Attributes> final;  // what has the name now
  std::optional<fs::NodeRef> final_ref;
  std::optional<Uploads::Claim> claim;
  std::optional<fs::Attributes> interrupted;  // what an earlier upload left, when it counts
  OpenFile part;
  std::uint64_t position = 0;  // in the part: where the next byte goes
  bool resumable = true;       // worth keeping when it is cut
};

}  // namespace lafs::ftp
