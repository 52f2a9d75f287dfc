// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/control.h"

#include "frontends/ftp/control_words.h"

namespace lafs::ftp {

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

}  // namespace lafs::ftp
