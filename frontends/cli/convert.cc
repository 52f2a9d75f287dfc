// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/convert.h"

#include "grid/base/log.h"

namespace lafs::cli {

Exit exit_of(Errc code) {
  switch (code) {
    case Errc::bad_argument:
    case Errc::bad_cap:
    case Errc::bad_name:
    case Errc::name_too_long:
      return Exit::usage;
    case Errc::not_found:
    case Errc::no_attribute:
      return Exit::not_found;
    case Errc::no_servers:
    case Errc::not_enough_shares:
    case Errc::unhappy:
    case Errc::unreachable:
    case Errc::timed_out:
    case Errc::protocol:
    case Errc::wrong_certificate:
    case Errc::unauthorized:
      return Exit::grid;
    case Errc::bad_config:
      return Exit::config;
    case Errc::corrupt:
      return Exit::corrupt;
    case Errc::cancelled:
      return Exit::cancelled;
    case Errc::unsupported:
    case Errc::exists:
    case Errc::not_directory:
    case Errc::is_directory:
    case Errc::not_empty:
    case Errc::symlink_loop:
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::read_only:
    case Errc::collision:
    case Errc::conflict:
    case Errc::bad_range:
    case Errc::refused:
    case Errc::no_space:
    case Errc::too_large:
    case Errc::io:
    case Errc::busy:
    case Errc::closed:
    case Errc::bad_handle:
    case Errc::internal:
      return Exit::failed;
  }
  return Exit::failed;
}

std::string_view advice(Errc code) {
  switch (code) {
    case Errc::bad_cap:
      return "copy the whole cap, from \"URI:\" to its last character";
    case Errc::no_servers:
      return "see `lafs status` and private/servers.yaml in the node directory";
    case Errc::not_enough_shares:
    case Errc::unreachable:
    case Errc::timed_out:
      return "`lafs status` shows which servers answer";
    case Errc::unhappy:
      return "bring servers back (`lafs status`), or lower shares.happy in tahoe.cfg";
    case Errc::wrong_certificate:
      return "its key changed or somebody is in between: compare its NURL in private/servers.yaml";
    case Errc::unauthorized:
      return "the secret in its NURL is not the server's: get the NURL again";
    case Errc::protocol:
      return "is it a Tahoe-LAFS storage server?";
    case Errc::collision:
      return "try again";
    case Errc::read_only:
      return "use a cap that can write";
    case Errc::is_directory:
      return "use -r";
    case Errc::not_empty:
      return "use -r";
    case Errc::no_space:
      return "free some space";
    case Errc::internal:
      return "this is a bug in lafs";
    case Errc::bad_argument:
    case Errc::bad_config:
    case Errc::unsupported:
    case Errc::not_found:
    case Errc::exists:
    case Errc::not_directory:
    case Errc::name_too_long:
    case Errc::bad_name:
    case Errc::symlink_loop:
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::corrupt:
    case Errc::no_attribute:
    case Errc::conflict:
    case Errc::bad_range:
    case Errc::refused:
    case Errc::too_large:
    case Errc::io:
    case Errc::busy:
    case Errc::cancelled:
    case Errc::closed:
    case Errc::bad_handle:
      return {};
  }
  return {};
}

std::string error_line(std::string_view command, const Error& error) {
  std::string line = "lafs: ";
  if (!command.empty()) line += std::string(command) + ": ";
  // What to do comes last, after "; ", and is either the context's own or that of the code.
  const auto split = error.context.find("; ");
  Error said{error.code, error.context.substr(0, split)};
  const bool says_it_all =
      (error.code == Errc::bad_config || error.code == Errc::bad_argument) && !said.context.empty();
  line += says_it_all ? said.context : said.message();
  const auto more = split == std::string::npos ? advice(error.code)
                                               : std::string_view(error.context).substr(split + 2);
  if (!more.empty()) line += "; " + std::string(more);
  line = log::redact(line);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line;
}

}  // namespace lafs::cli
