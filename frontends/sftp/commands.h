// SPDX-License-Identifier: Apache-2.0
#pragma once

// The few commands that an SSH client may have run: what scp and sync programs ask for. Each is a
// function of ours over the account's files; nothing of the operating system is ever started.

#include <optional>
#include <string>
#include <vector>

#include "frontends/fs/walker.h"
#include "frontends/sftp/pipe.h"
#include "grid/base/offload.h"

namespace lafs::sftp {

// As a shell splits it: blanks, '...', "...", backslashes. Nothing when a quote is left open, or
// when it holds what only a shell can do (|, ;, &, <, >, `, $(, a line feed).
std::optional<std::vector<std::string>> split_command(std::string_view command);

struct CommandContext {
  Pool& pool;
  fs::Filesystem& files;
  std::string home;
  fs::Caller caller;
  std::uint32_t umask = 022;
};

// md5sum, sha1sum, sha256sum ..., df, scp -f, scp -t.
bool is_command(std::string_view command);
// Runs one to its end and returns its exit status. The pipe carries bytes.
Task<int> run_command(CommandContext context, std::string command, Pipe& pipe);

// scp.cc: `words` are scp's own.
Task<int> run_scp(CommandContext& context, std::vector<std::string> words, Pipe& pipe);

}  // namespace lafs::sftp
