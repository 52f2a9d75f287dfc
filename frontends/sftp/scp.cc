// SPDX-License-Identifier: Apache-2.0

// The old scp protocol, as `scp -f` (we send) and `scp -t` (we receive) speak it. Newer scp
// programs use SFTP instead.

#include "frontends/sftp/scp_stream.h"

namespace lafs::sftp {
namespace {

std::optional<ScpOptions> parse_options(const std::vector<std::string>& words) {
  ScpOptions out;
  bool options = true;
  for (auto at = words.begin() + 1; at != words.end(); ++at) {
    if (!options || at->size() < 2 || at->front() != '-') {
      out.paths.push_back(*at);
    } else if (*at == "--") {
      options = false;
    } else {
      for (const char c : at->substr(1)) {
        switch (c) {
          case 'f':
            out.from = true;
            break;
          case 't':
            out.to = true;
            break;
          case 'r':
            out.recursive = true;
            break;
          case 'p':
            out.times = true;
            break;
          case 'd':
            out.directory = true;
            break;
          case 'v':
          case 'q':
          case 'B':
          case 'C':
            break;
          default:
            return std::nullopt;
        }
      }
    }
  }
  if (out.from == out.to || out.paths.empty() || (out.to && out.paths.size() != 1))
    return std::nullopt;
  return out;
}

}  // namespace

Task<int> run_scp(CommandContext& context, std::vector<std::string> words, Pipe& pipe) {
  const auto options = parse_options(words);
  if (!options) {
    pipe.complain("scp: only -f and -t with -r, -p, -d are served here\n");
    co_return 1;
  }
  ScpStream stream(pipe);
  if (options->from) {
    co_await send_all(context, stream, *options);
  } else {
    co_await receive_all(context, stream, *options);
  }
  co_return stream.failed() ? 1 : 0;
}

}  // namespace lafs::sftp
