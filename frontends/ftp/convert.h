// SPDX-License-Identifier: Apache-2.0
#pragma once

// Errors of the filesystem as replies of FTP.

#include "frontends/ftp/reply.h"
#include "grid/base/result.h"

namespace lafs::ftp {

// 4yz: may work later as it is; 5yz: will not. 553 when a name was to be made with it.
int reply_code(Errc code, bool making_a_name = false);

// What went wrong and nothing of how we are made inside: the kinds of error that name servers and
// local files are said in general words.
Reply reply_to(const Error& error, bool making_a_name = false);

// Whether the log should hear of it: what the client can do nothing about.
bool wants_log(Errc code);

}  // namespace lafs::ftp
