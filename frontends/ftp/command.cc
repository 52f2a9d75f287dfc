// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/command.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace lafs::ftp {

namespace {

constexpr auto none = Argument::none;
constexpr auto maybe = Argument::optional;
constexpr auto needed = Argument::required;

// verb, name, argument, before login, during a transfer
const std::vector<VerbFacts> table = {
    {Verb::user, "USER", needed, true, false},
    {Verb::pass, "PASS", maybe, true, false},
    {Verb::acct, "ACCT", maybe, true, false},
    {Verb::cwd, "CWD", maybe, false, false},
    {Verb::cdup, "CDUP", none, false, false},
    {Verb::rein, "REIN", none, true, false},
    {Verb::quit, "QUIT", none, true, true},
    {Verb::port, "PORT", needed, false, false},
    {Verb::pasv, "PASV", none, false, false},
    {Verb::type, "TYPE", needed, false, false},
    {Verb::stru, "STRU", needed, false, false},
    {Verb::mode, "MODE", needed, false, false},
    {Verb::retr, "RETR", needed, false, false},
    {Verb::stor, "STOR", needed, false, false},
    {Verb::stou, "STOU", maybe, false, false},
    {Verb::appe, "APPE", needed, false, false},
    {Verb::allo, "ALLO", needed, false, false},
    {Verb::rest, "REST", needed, false, false},
    {Verb::rnfr, "RNFR", needed, false, false},
    {Verb::rnto, "RNTO", needed, false, false},
    {Verb::abor, "ABOR", none, true, true},
    {Verb::dele, "DELE", needed, false, false},
    {Verb::rmd, "RMD", needed, false, false},
    {Verb::mkd, "MKD", needed, false, false},
    {Verb::pwd, "PWD", none, false, false},
    {Verb::list, "LIST", maybe, false, false},
    {Verb::nlst, "NLST", maybe, false, false},
    {Verb::site, "SITE", needed, false, false},
    {Verb::syst, "SYST", none, true, false},
    {Verb::stat, "STAT", maybe, false, true},
    {Verb::help, "HELP", maybe, true, false},
    {Verb::noop, "NOOP", maybe, true, true},
    {Verb::smnt, "SMNT", maybe, true, false},
    {Verb::auth, "AUTH", needed, true, false},
    {Verb::pbsz, "PBSZ", needed, true, false},
    {Verb::prot, "PROT", needed, true, false},
    {Verb::ccc, "CCC", none, true, false},
    {Verb::adat, "ADAT", maybe, true, false},
    {Verb::mic, "MIC", maybe, true, false},
    {Verb::conf, "CONF", maybe, true, false},
    {Verb::enc, "ENC", maybe, true, false},
    {Verb::feat, "FEAT", none, true, false},
    {Verb::opts, "OPTS", needed, true, false},
    {Verb::eprt, "EPRT", needed, false, false},
    {Verb::epsv, "EPSV", maybe, false, false},
    {Verb::lang, "LANG", maybe, true, false},
    {Verb::mdtm, "MDTM", needed, false, false},
    {Verb::size, "SIZE", needed, false, false},
    {Verb::mlst, "MLST", maybe, false, false},
    {Verb::mlsd, "MLSD", maybe, false, false},
    {Verb::host, "HOST", needed, true, false},
    {Verb::mfmt, "MFMT", needed, false, false},
    {Verb::mfct, "MFCT", needed, false, false},
    {Verb::mff, "MFF", needed, false, false},
    {Verb::hash, "HASH", needed, false, false},
    {Verb::rang, "RANG", needed, false, false},
    {Verb::avbl, "AVBL", maybe, false, false},
    {Verb::clnt, "CLNT", maybe, true, false},
    {Verb::csid, "CSID", maybe, true, false},
    {Verb::xcrc, "XCRC", needed, false, false},
    {Verb::xmd5, "XMD5", needed, false, false},
    {Verb::xsha1, "XSHA1", needed, false, false},
    {Verb::xsha256, "XSHA256", needed, false, false},
    {Verb::xsha512, "XSHA512", needed, false, false},
    {Verb::unknown, "", maybe, true, false},
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

const std::map<std::string, Verb, std::less<>>& by_name() {
  static const auto names = [] {
    std::map<std::string, Verb, std::less<>> out;
    for (const auto& facts : table)
      if (!facts.name.empty()) out.emplace(facts.name, facts.verb);
    out.emplace("XCWD", Verb::cwd);
    out.emplace("XCUP", Verb::cdup);
    out.emplace("XMKD", Verb::mkd);
    out.emplace("XRMD", Verb::rmd);
    out.emplace("XPWD", Verb::pwd);
    out.emplace("XSHA", Verb::xsha1);
    return out;
  }();
  return names;
}

bool printable(char c) { return c > ' ' && c < 0x7f; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

const VerbFacts& facts_of(Verb verb) { return table[static_cast<std::size_t>(verb)]; }

const std::vector<VerbFacts>& all_verbs() { return table; }

Command parse_command(std::string_view line) {
  // Some clients put a space or a stray control byte before the verb.
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  const auto blank = line.find(' ');
  const auto word = line.substr(0, blank);
  Command out;
  for (const char c : word.substr(0, 16)) out.name += printable(c) ? c : '?';
  out.name = upper(out.name);
  if (blank != line.npos) out.argument = line.substr(blank + 1);
  // No name on the grid holds one of these, and a reply that repeats them would be two replies.
  if (out.argument.find_first_of(std::string_view("\r\n\0", 3)) != out.argument.npos) {
    out.argument.clear();
    return out;
  }
  const auto it = by_name().find(upper(word));
  if (it == by_name().end()) return out;
  out.verb = it->second;
  // "MLSD " asks for the same as "MLSD": clients that join a verb and an empty path.
  if (trim(out.argument).empty() && out.verb != Verb::pass) out.argument.clear();
  return out;
}

SubCommand split_word(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const auto blank = text.find(' ');
  SubCommand out{upper(text.substr(0, blank)), {}};
  if (blank != text.npos) out.argument = text.substr(blank + 1);
  return out;
}

ListArgument parse_list_argument(std::string_view text) {
  ListArgument out;
  for (;;) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    const auto word = text.substr(0, text.find(' '));
    const bool flags =
        word.size() > 1 && word[0] == '-' && std::ranges::all_of(word.substr(1), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '1';
        });
    if (!flags) break;
    for (const char c : word) {
      if (c == 'a' || c == 'A') out.all = true;
      if (c == 'R') out.recursive = true;
      if (c == 'd') out.itself = true;
    }
    text.remove_prefix(word.size());
  }
  out.path = text;
  return out;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || at != end) return {};
  return value;
}

void LineReader::add(std::string_view bytes) {
  if (at_ == input_.size()) {
    input_.clear();
    at_ = 0;
  }
  input_ += bytes;
}

void LineReader::clear() { *this = LineReader(); }

std::optional<LineReader::Line> LineReader::next() {
  constexpr unsigned char iac = 255, sub_begin = 250, sub_end = 240, will = 251, dont = 254;
  while (at_ < input_.size()) {
    const auto c = static_cast<unsigned char>(input_[at_++]);
    switch (telnet_) {
      case Telnet::command:
        telnet_ = c == sub_begin             ? Telnet::sub
                  : (c >= will && c <= dont) ? Telnet::option
                                             : Telnet::data;
        if (c != iac) continue;
        break;  // a doubled one is data
      case Telnet::option:
        telnet_ = Telnet::data;
        continue;
      case Telnet::sub:
        if (c == iac) telnet_ = Telnet::sub_command;
        continue;
      case Telnet::sub_command:
        telnet_ = c == sub_end ? Telnet::data : Telnet::sub;
        continue;
      case Telnet::data:
        if (c == iac) {
          telnet_ = Telnet::command;
          continue;
        }
        break;
    }
    const bool end = c == '\n' || (c == '\0' && after_return_);
    if (end) {
      if (after_return_ && !line_.empty()) line_.pop_back();
      Line out{std::move(line_), overflow_};
      if (overflow_) out.text.clear();
      line_.clear();
      after_return_ = overflow_ = false;
      if (at_ == input_.size()) std::string().swap(input_), at_ = 0;
      return out;
    }
    after_return_ = c == '\r';
    if (line_.size() >= line_max) {
      overflow_ = true;
      line_.clear();
      line_.shrink_to_fit();
    }
    if (!overflow_) line_ += static_cast<char>(c);
  }
  return {};
}

}  // namespace lafs::ftp
