// SPDX-License-Identifier: Apache-2.0

// Control: where data goes, and what goes there.

#include "frontends/fs/walker.h"
#include "frontends/ftp/control_words.h"

namespace lafs::ftp {

Step Control::port(const Command& command) {
  const auto& own = options_.own;
  const bool extended = command.verb == Verb::eprt || command.verb == Verb::epsv;
  if (only_extended_passive_ && command.verb != Verb::epsv)
    return say(501, std::string(facts_of(command.verb).name) + " is not allowed after EPSV ALL.");
  if (command.verb == Verb::epsv) return extended_passive(command);
  if (!extended && own.v6)
    return say(425, command.verb == Verb::pasv ? "PASV cannot name IPv6 addresses; use EPSV."
                                               : "PORT cannot name IPv6 addresses; use EPRT.");
  if (command.verb == Verb::pasv) {
    Step out;
    out.what = Do::passive;
    return out;
  }
  std::optional<Endpoint> target;
  if (extended) {
    const auto asked = parse_extended_port(command.argument);
    if (asked.family && *asked.family != (own.v6 ? 2u : 1u))
      return say(522,
                 std::string("Network protocol not supported, use (") + (own.v6 ? "2" : "1") + ")");
    target = asked.endpoint;
  } else {
    target = parse_port(command.argument);
  }
  if (!target) return say(501, "That is no address and port.");
  if (!options_.active) return say(502, "Data connections are made by the client here.");
  if (!may_connect(*target, options_.peer))
    return say(501, "Data connections go to the client itself, port 1024 or higher.");
  target_ = target;
  data_ = Data::active;
  return say(200, extended ? "EPRT command successful." : "PORT command successful.");
}

Step Control::extended_passive(const Command& command) {
  const auto which = upper(command.argument);
  if (which == "ALL") {
    only_extended_passive_ = true;
    return say(200, "EPSV ALL ok.");
  }
  if (!which.empty()) {
    const auto family = parse_number(which);
    if (!family) return say(501, "Unknown EPSV argument.");
    if (*family != (options_.own.v6 ? 2u : 1u))
      return say(522, std::string("Network protocol not supported, use (") +
                          (options_.own.v6 ? "2" : "1") + ")");
  }
  Step out;
  out.what = Do::extended_passive;
  return out;
}

std::string Control::absolute(std::string_view path) const {
  if (path == "~" || path.starts_with("~/"))
    return fs::join_path(home_, path.size() > 2 ? path.substr(2) : "");
  return fs::join_path(directory_, path);
}

Step Control::on_path(Do what, const std::string& argument) const {
  Step out;
  out.what = what;
  out.path = absolute(argument);
  out.name = argument;
  return out;
}

Step Control::transfer(const Command& command) {
  const auto range = std::exchange(range_, {});
  if (data_ == Data::none) return say(425, "Use PORT or PASV first.");
  if (!protect_data_ && !options_.plain) {
    data_ = Data::none;
    return say(521, "Data must be protected here: PROT P comes first.");
  }
  if (data_ == Data::passive) target_.reset();
  Step out;
  switch (command.verb) {
    case Verb::retr:
      out = on_path(Do::retrieve, command.argument);
      out.range = range;
      return out;
    case Verb::stor:
      out = on_path(Do::store, command.argument);
      out.range = range;
      return out;
    case Verb::appe:
      return on_path(Do::append, command.argument);
    case Verb::stou:
      return on_path(Do::store_unique, command.argument);
    case Verb::mlsd:
      return on_path(Do::machine_list, command.argument);
    default: {
      auto listing = parse_list_argument(command.argument);
      out = on_path(command.verb == Verb::nlst ? Do::names : Do::list, listing.path);
      out.listing = std::move(listing);
      return out;
    }
  }
}

}  // namespace lafs::ftp
