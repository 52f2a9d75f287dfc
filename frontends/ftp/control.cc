// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/control.h"

#include <algorithm>
#include <array>

#include "frontends/fs/walker.h"

namespace lafs::ftp {

namespace {

Step say(int code, std::string text) {
  Step out;
  out.reply = {code, std::move(text)};
  return out;
}

std::string upper(std::string_view text) { return split_word(text).name; }

// Name in HASH and FEAT, name of the digest.
struct Algorithm {
  std::string_view name, digest;
};
constexpr std::array<Algorithm, 5> algorithms = {{{"SHA-256", "sha256"},
                                                  {"SHA-512", "sha512"},
                                                  {"SHA-1", "sha1"},
                                                  {"MD5", "md5"},
                                                  {"CRC32", "crc32"}}};

// The last two words of "path start end" as numbers, when they are.
void take_range(std::string& path, Range& range) {
  std::string_view rest = path;
  std::array<std::uint64_t, 2> numbers{};
  std::size_t found = 0;
  while (found < 2) {
    const auto blank = rest.rfind(' ');
    if (blank == rest.npos || blank == 0) break;
    const auto number = parse_number(rest.substr(blank + 1));
    if (!number) break;
    numbers[found++] = *number;
    rest = rest.substr(0, blank);
  }
  if (found == 2) {
    range = {numbers[1], numbers[0]};
    path = std::string(rest);
  }
}

// "a b" or "\"a x\" \"b y\"".
std::optional<std::pair<std::string, std::string>> two_paths(std::string_view text) {
  std::array<std::string, 2> out;
  for (auto& word : out) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    if (text.starts_with('"')) {
      const auto end = text.find('"', 1);
      if (end == text.npos) return {};
      word = text.substr(1, end - 1);
      text.remove_prefix(end + 1);
    } else {
      const auto end = std::min(text.find(' '), text.size());
      word = text.substr(0, end);
      text.remove_prefix(end);
    }
    if (word.empty()) return {};
  }
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (!text.empty()) return {};
  return std::pair(out[0], out[1]);
}

}  // namespace

Control::Control(Options options)
    : options_(std::move(options)), tls_(options_.implicit_tls), idle_limit_(options_.idle_limit) {
  // RFC 4217, 15: there is no AUTH before PBSZ and PROT on such a connection.
  if (options_.implicit_tls) buffer_size_said_ = protect_data_ = true;
}

Reply Control::greeting() const { return {220, options_.banner + " ready."}; }

Step Control::too_long() {
  rename_from_.reset();
  return say(500, "Line too long.");
}

Step Control::command(const Command& command) {
  const auto verb = command.verb;
  const auto& facts = facts_of(verb);
  if (state_ != State::in && ++lines_ > options_.stranger_lines) {
    auto out = say(421, "Too many commands before a login.");
    out.what = Do::quit;
    return out;
  }
  // RNTO follows RNFR at once, or there is nothing to rename.
  auto rename_from = std::exchange(rename_from_, std::nullopt);
  if (verb == Verb::unknown) return say(500, "\"" + command.name + "\" is not understood.");
  if (!facts.before_login && state_ != State::in) return stranger(verb);
  if (facts.argument == Argument::required && command.argument.empty())
    return say(501, std::string(facts.name) + " needs an argument.");
  if (facts.argument == Argument::none && !command.argument.empty() && verb != Verb::quit &&
      verb != Verb::pasv)
    return say(501, std::string(facts.name) + " takes no argument.");
  switch (verb) {
    case Verb::rnto: {
      if (!rename_from) return say(503, "RNFR comes first.");
      auto out = on_path(Do::rename, command.argument);
      out.second = std::exchange(out.path, *rename_from);
      return out;
    }
    case Verb::user:
    case Verb::pass:
    case Verb::acct:
    case Verb::rein:
    case Verb::host:
    case Verb::auth:
    case Verb::pbsz:
    case Verb::prot:
    case Verb::ccc:
      return security(command);
    case Verb::type:
    case Verb::stru:
    case Verb::mode:
    case Verb::rest:
    case Verb::rang:
    case Verb::allo:
    case Verb::clnt:
    case Verb::csid:
    case Verb::lang:
    case Verb::noop:
    case Verb::syst:
    case Verb::feat:
    case Verb::help:
      return parameters(command);
    case Verb::opts:
      return options(command.argument);
    case Verb::quit: {
      auto out = say(221, "Goodbye.");
      out.what = Do::quit;
      return out;
    }
    case Verb::abor: {
      Step out;
      out.what = Do::abort;
      return out;
    }
    case Verb::port:
    case Verb::eprt:
    case Verb::pasv:
    case Verb::epsv:
      return port(command);
    case Verb::retr:
    case Verb::stor:
    case Verb::stou:
    case Verb::appe:
    case Verb::list:
    case Verb::nlst:
    case Verb::mlsd:
      return transfer(command);
    case Verb::site:
      return site(command.argument);
    case Verb::smnt:
    case Verb::adat:
    case Verb::mic:
    case Verb::conf:
    case Verb::enc:
    case Verb::unknown:
      return say(502, std::string(facts.name) + " is not implemented.");
    case Verb::cwd:
    case Verb::cdup:
    case Verb::rnfr:
    case Verb::dele:
    case Verb::rmd:
    case Verb::mkd:
    case Verb::pwd:
    case Verb::stat:
    case Verb::mdtm:
    case Verb::size:
    case Verb::mlst:
    case Verb::mfmt:
    case Verb::mfct:
    case Verb::mff:
    case Verb::hash:
    case Verb::avbl:
    case Verb::xcrc:
    case Verb::xmd5:
    case Verb::xsha1:
    case Verb::xsha256:
    case Verb::xsha512:
      return files(command);
  }
  return say(502, "Not implemented.");
}

Step Control::stranger(Verb) { return say(530, "Please login with USER and PASS."); }

// ------------------------------------------------------------------------------ who, and how safe

void Control::forget_login() {
  state_ = State::stranger;
  data_ = Data::none;
  target_.reset();
  ascii_ = true;
  only_extended_passive_ = false;
  range_ = {};
  announced_ = 0;
  facts_ = all_facts;
  copy_from_.reset();
  account_.clear();
  user_.clear();
  home_ = directory_ = "/";
  hash_ = "SHA-256";
  lines_ = 0;
}

Step Control::security(const Command& command) {
  const auto& argument = command.argument;
  switch (command.verb) {
    case Verb::user:
      if (state_ == State::in) return say(530, "Can't change to another user; REIN comes first.");
      if (!tls_ && !options_.plain)
        return say(530, options_.tls ? "This server wants TLS: AUTH TLS comes first."
                                     : "This server allows no login in the clear.");
      user_ = argument;
      state_ = State::named;
      return say(331, "Please specify the password.");
    case Verb::pass: {
      if (state_ == State::in) return say(202, "Already logged in.");
      if (state_ != State::named) return say(503, "Login with USER first.");
      Step out;
      out.what = Do::log_in;
      out.text = user_;
      out.second = argument;
      return out;
    }
    case Verb::acct:
      return say(202, "No account is needed.");
    case Verb::rein: {
      forget_login();
      host_.clear();
      buffer_size_said_ = protect_data_ = options_.implicit_tls;
      auto out = say(220, options_.banner + " ready for a new user.");
      out.what = Do::log_out;
      return out;
    }
    case Verb::host: {
      if (state_ != State::stranger) return say(503, "HOST goes before USER.");
      const auto is_host_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
      };
      if (argument.size() > 253 || !std::ranges::all_of(argument, is_host_letter))
        return say(501, "That is no host name.");
      host_ = argument;
      for (auto& c : host_)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      return say(220, "Host accepted.");
    }
    case Verb::auth: {
      const auto mechanism = upper(argument);
      if (!options_.tls) return say(502, "This server has no TLS.");
      if (tls_) return say(503, "TLS is on already.");
      if (state_ != State::stranger) return say(503, "AUTH goes before USER.");
      const bool data_too = mechanism == "SSL" || mechanism == "TLS-P";
      if (mechanism != "TLS" && mechanism != "TLS-C" && !data_too)
        return say(504, "Unknown AUTH type; TLS is known.");
      protect_data_ = data_too;
      auto out = say(234, "Proceed with negotiation.");
      out.what = Do::start_tls;
      return out;
    }
    case Verb::pbsz:
      if (!tls_) return say(503, "PBSZ needs a secure connection: AUTH TLS comes first.");
      if (!parse_number(argument)) return say(501, "PBSZ needs a number.");
      buffer_size_said_ = true;
      return say(200, "PBSZ=0");
    case Verb::prot: {
      if (!tls_) return say(503, "PROT needs a secure connection: AUTH TLS comes first.");
      if (!buffer_size_said_) return say(503, "PBSZ comes first.");
      const auto level = upper(argument);
      if (level == "P") {
        protect_data_ = true;
        return say(200, "PROT now Private.");
      }
      if (level == "C") {
        if (!options_.plain) return say(534, "Data in the clear is not allowed here.");
        protect_data_ = false;
        return say(200, "PROT now Clear.");
      }
      if (level == "S" || level == "E") return say(536, "PROT C and P are supported.");
      return say(504, "Unknown PROT level.");
    }
    default:
      return say(533, "The command channel stays protected.");
  }
}

void Control::tls_started() {
  // What was said in the clear may have been said by anybody.
  const bool data_too = protect_data_;
  forget_login();
  host_.clear();
  tls_ = true;
  protect_data_ = data_too;
  buffer_size_said_ = data_too;
}

Reply Control::logged_in(std::string account, std::string home, bool read_only) {
  state_ = State::in;
  account_ = std::move(account);
  home_ = directory_ = home.empty() ? "/" : std::move(home);
  failures_ = 0;
  return {230, read_only ? "Login successful; nothing can be changed here." : "Login successful."};
}

Step Control::login_refused(bool busy) {
  state_ = State::stranger;
  user_.clear();
  auto out = busy ? say(421, "Too many logins at the moment.") : say(530, "Login incorrect.");
  if (busy || ++failures_ >= options_.tries) {
    out.what = Do::quit;
    if (!busy) out.reply = {421, "Login incorrect; too many tries."};
  }
  return out;
}

// ------------------------------------------------------------------------------ small settings

Step Control::parameters(const Command& command) {
  const auto& argument = command.argument;
  switch (command.verb) {
    case Verb::type: {
      auto [type, format] = split_word(argument);
      if (type == "L8") type = "L", format = "8";
      if (type == "A") {
        if (format.empty() || upper(format) == "N") {
          ascii_ = true;
          return say(200, "Switching to ASCII mode.");
        }
        const auto known = upper(format) == "T" || upper(format) == "C";
        return say(known ? 504 : 501, "Only TYPE A N is supported.");
      }
      if (type == "I" || (type == "L" && format == "8")) {
        ascii_ = false;
        return say(200, "Switching to Binary mode.");
      }
      if (type == "E" || type == "L") return say(504, "TYPE A, I and L 8 are supported.");
      return say(501, "Unknown TYPE.");
    }
    case Verb::stru:
    case Verb::mode: {
      const auto value = upper(argument);
      const bool is_mode = command.verb == Verb::mode;
      if (value == (is_mode ? "S" : "F"))
        return say(200, is_mode ? "Mode set to S." : "Structure set to F.");
      const bool known =
          is_mode ? value == "B" || value == "C" || value == "Z" : value == "R" || value == "P";
      return say(known ? 504 : 501, is_mode ? "MODE S is supported." : "STRU F is supported.");
    }
    case Verb::rest: {
      const auto number = parse_number(argument);
      if (!number) return say(501, "REST needs a number.");
      range_ = {*number, {}};
      return say(350, "Restart position accepted (" + std::to_string(*number) + ").");
    }
    case Verb::rang:
      return range(argument);
    case Verb::allo: {
      const auto number = parse_number(split_word(argument).name);
      if (!number) return say(501, "ALLO needs a number of bytes.");
      announced_ = *number;
      Step out;
      out.what = Do::allocate;
      out.number = *number;
      return out;
    }
    case Verb::lang:
      if (argument.empty() || upper(argument).starts_with("EN")) return say(200, "Using EN.");
      return say(504, "Only EN is spoken here.");
    case Verb::csid:
      return say(200, "Name=lafs;");
    case Verb::clnt:
      return say(200, "Noted.");
    case Verb::syst:
      return say(215, "UNIX Type: L8");
    case Verb::feat: {
      Step out;
      out.reply = features();
      return out;
    }
    case Verb::help: {
      Step out;
      out.reply = {214, "The following commands are recognized.", {}, "Help OK."};
      std::string line;
      for (const auto& facts : all_verbs()) {
        if (facts.name.empty()) continue;
        line += std::string(facts.name) + ' ';
        if (line.size() < 60) continue;
        out.reply.lines.push_back(std::exchange(line, {}));
      }
      if (!line.empty()) out.reply.lines.push_back(line);
      return out;
    }
    default:
      return say(200, "NOOP ok.");
  }
}

Step Control::range(std::string_view argument) {
  const auto [first, second] = split_word(argument);
  const auto begin = parse_number(first), last = parse_number(second);
  if (!begin || !last) return say(501, "RANG needs two numbers.");
  if (*begin > *last) {  // draft-bryan-ftp-range: "RANG 1 0" takes it back
    if (*begin != 1 || *last != 0) return say(501, "The range ends before it begins.");
    range_ = {};
    return say(350, "Range reset.");
  }
  if (*last == UINT64_MAX) return say(501, "The range is too large.");
  range_ = {*begin, *last + 1};
  return say(350,
             "Restarting at " + std::string(first) + ". Ending at " + std::string(second) + ".");
}

Reply Control::features() const {
  Reply out{211, "Features:", {}, "End"};
  auto add = [&](std::string line) { out.lines.push_back(std::move(line)); };
  if (options_.tls) {
    add("AUTH TLS");
    add("AUTH SSL");
  }
  add("AVBL");
  add("CLNT");
  add("CSID");
  add("EPRT");
  add("EPSV");
  std::string hashes = "HASH ";
  for (const auto& algorithm : algorithms) {
    hashes += algorithm.name;
    hashes += algorithm.name == hash_ ? "*;" : ";";
  }
  add(hashes);
  add("HOST");
  add("LANG EN*");
  add("MDTM");
  add("MFCT");
  add("MFF Create;Modify;UNIX.gid;UNIX.mode;UNIX.uid;");
  add("MFMT");
  add("MLST " + fact_names(facts_, true));
  if (options_.tls) {
    add("PBSZ");
    add("PROT");
  }
  add("RANG STREAM");
  add("REST STREAM");
  add("SITE CHMOD");
  add("SITE COPY");
  add("SITE SYMLINK");
  add("SITE UTIME");
  add("SIZE");
  add("TVFS");
  add("UTF8");
  for (const auto* digest : {"XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512"}) add(digest);
  return out;
}

Step Control::options(std::string_view argument) {
  const auto [what, value] = split_word(argument);
  if (what == "UTF8" || what == "UTF-8") {
    if (value.empty() || upper(value) == "ON") return say(200, "Always in UTF8 mode.");
    return say(501, "UTF8 cannot be turned off.");
  }
  if (what == "MLST") {
    facts_ = parse_fact_names(value);
    const auto names = fact_names(facts_, false);
    return say(200, names.empty() ? "MLST OPTS" : "MLST OPTS " + names);
  }
  if (what == "HASH") {
    if (value.empty()) return say(200, hash_);
    for (const auto& algorithm : algorithms) {
      if (algorithm.name != upper(value)) continue;
      hash_ = algorithm.name;
      return say(200, hash_);
    }
    return say(501, "Unknown algorithm; FEAT lists those we know.");
  }
  return say(501, "Option not understood.");
}

std::vector<std::string> Control::status_lines() const {
  std::vector<std::string> out;
  out.push_back("Connected to " + options_.peer.text());
  out.push_back(state_ == State::in ? "Logged in as " + account_ : "Not logged in");
  out.push_back(ascii_ ? "TYPE: ASCII" : "TYPE: Binary");
  out.push_back("Session timeout in seconds is " + std::to_string(idle_limit_));
  out.push_back(tls_ ? "Control connection is encrypted" : "Control connection is plain text");
  out.push_back(tls_ && protect_data_ ? "Data connections will be encrypted"
                                      : "Data connections will be plain text");
  return out;
}

// ------------------------------------------------------------------------------ data connections

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

// ------------------------------------------------------------------------------ files

Step Control::files(const Command& command) {
  const auto& argument = command.argument;
  switch (command.verb) {
    case Verb::pwd:
      return say(257, quoted_path(directory_) + " is the current directory");
    case Verb::cwd:
      return on_path(Do::change_directory, argument.empty() ? "~" : argument);
    case Verb::cdup:
      return on_path(Do::change_directory, "..");
    case Verb::rnfr:
      return on_path(Do::rename_from, argument);
    case Verb::dele:
      return on_path(Do::remove_file, argument);
    case Verb::rmd:
      return on_path(Do::remove_directory, argument);
    case Verb::mkd:
      return on_path(Do::make_directory, argument);
    case Verb::size:
      return on_path(Do::size, argument);
    case Verb::mlst:
      return on_path(Do::machine_facts, argument);
    case Verb::avbl:
      return on_path(Do::available, argument);
    case Verb::stat: {
      if (argument.empty()) {
        Step out;
        out.what = Do::status;
        return out;
      }
      auto listing = parse_list_argument(argument);
      auto out = on_path(Do::status_of, listing.path);
      out.listing = std::move(listing);
      return out;
    }
    case Verb::mdtm:
    case Verb::mfmt:
    case Verb::mfct:
    case Verb::mff:
      return times(command);
    default:
      return digest(command);
  }
}

Step Control::times(const Command& command) {
  const auto& argument = command.argument;
  const auto blank = argument.find(' ');
  const auto first = argument.substr(0, blank);
  const auto path = blank == argument.npos ? "" : argument.substr(blank + 1);
  if (command.verb == Verb::mff) {
    if (path.empty()) return say(501, "MFF needs facts and a path.");
    if (!parse_fact_changes(first)) return say(504, "These facts cannot be changed.");
    auto out = on_path(Do::set_facts, path);
    out.text = first;
    return out;
  }
  const bool is_time = parse_time_value(first).has_value();
  if (command.verb == Verb::mdtm) {
    // A file may be named like a time; with a path behind it, it is one.
    if (!is_time || path.empty()) return on_path(Do::modified, argument);
  } else if (!is_time || path.empty()) {
    return say(501, "That needs a time (YYYYMMDDHHMMSS) and a path.");
  }
  auto out = on_path(command.verb == Verb::mfct ? Do::set_created : Do::set_modified, path);
  out.text = first;
  out.number = command.verb == Verb::mdtm;  // its reply reads differently
  return out;
}

Step Control::digest(const Command& command) {
  auto path = command.argument;
  Range range;
  if (command.verb == Verb::hash) {
    range = std::exchange(range_, {});
    auto out = on_path(Do::hash, path);
    out.range = range;
    out.second = hash_;
    for (const auto& algorithm : algorithms)
      if (algorithm.name == hash_) out.text = algorithm.digest;
    return out;
  }
  // "XMD5 path" and "XMD5 path start end"; paths with blanks may be quoted.
  if (path.starts_with('"')) {
    const auto end = path.find('"', 1);
    if (end == path.npos || end == 1) return say(501, "The quote is not closed.");
    auto rest = "x" + path.substr(end + 1);
    take_range(rest, range);
    if (rest != "x") return say(501, "That needs a path, or a path and two numbers.");
    path = path.substr(1, end - 1);
  } else {
    take_range(path, range);
  }
  if (range.end && *range.end < range.begin) return say(501, "The range ends before it begins.");
  auto out = on_path(Do::digest, path);
  out.range = range;
  out.text = command.verb == Verb::xcrc      ? "crc32"
             : command.verb == Verb::xmd5    ? "md5"
             : command.verb == Verb::xsha1   ? "sha1"
             : command.verb == Verb::xsha256 ? "sha256"
                                             : "sha512";
  return out;
}

Step Control::site(std::string_view argument) {
  const auto [what, value] = split_word(argument);
  if (what == "HELP") {
    Step out;
    out.reply = {214,
                 "SITE commands:",
                 {"CHMOD mode path", "COPY from to", "CPFR path, CPTO path", "HELP", "IDLE seconds",
                  "SYMLINK target path", "UTIME YYYYMMDDhhmmss path"},
                 "End"};
    return out;
  }
  if (what == "IDLE") {
    if (value.empty())
      return say(200, "The idle limit is " + std::to_string(idle_limit_) + " seconds.");
    const auto seconds = parse_number(value);
    if (!seconds || *seconds < 10 || *seconds > options_.idle_limit_max)
      return say(501, "The idle limit is from 10 to " + std::to_string(options_.idle_limit_max) +
                          " seconds.");
    idle_limit_ = static_cast<std::uint32_t>(*seconds);
    return say(200, "Idle limit set.");
  }
  if (what == "CHMOD") {
    const auto [mode, path] = split_word(value);
    const auto facts = parse_fact_changes("UNIX.mode=" + mode + ";");
    if (!facts || path.empty()) return say(501, "SITE CHMOD needs an octal mode and a path.");
    auto out = on_path(Do::set_mode, path);
    out.number = *facts->changes.mode;
    return out;
  }
  if (what == "UTIME") {
    const auto times = parse_site_times(value);
    if (!times) return say(501, "SITE UTIME needs YYYYMMDDhhmmss and a path.");
    auto out = on_path(Do::set_times, times->path);
    out.text = value;
    return out;
  }
  if (what == "CPFR" && !value.empty()) return on_path(Do::copy_from, value);
  if (what == "CPTO" && !value.empty()) {
    auto from = std::exchange(copy_from_, std::nullopt);
    if (!from) return say(503, "SITE CPFR comes first.");
    auto out = on_path(Do::copy, value);
    out.second = std::exchange(out.path, *from);
    return out;
  }
  if (what == "COPY" || what == "SYMLINK") {
    const auto paths = two_paths(value);
    if (!paths) return say(501, "SITE " + what + " needs two paths; quote those with blanks.");
    if (what == "SYMLINK") {
      auto out = on_path(Do::make_link, paths->second);
      out.second = paths->first;
      return out;
    }
    auto out = on_path(Do::copy, paths->first);
    out.second = absolute(paths->second);
    return out;
  }
  if (what == "CPFR" || what == "CPTO") return say(501, "SITE " + what + " needs a path.");
  return say(500, "Unknown SITE command; SITE HELP lists those we know.");
}

}  // namespace lafs::ftp
