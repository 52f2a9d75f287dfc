// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a client types: bytes of the control connection into lines, a line into a command. Bounded
// and total: whatever comes in, something comes out that a reply can be given to. Plain.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lafs::ftp {

enum class Verb : std::uint8_t {
  // RFC 959, 1123 (the X names of RFC 775 mean the same)
  user,
  pass,
  acct,
  cwd,
  cdup,
  rein,
  quit,
  port,
  pasv,
  type,
  stru,
  mode,
  retr,
  stor,
  stou,
  appe,
  allo,
  rest,
  rnfr,
  rnto,
  abor,
  dele,
  rmd,
  mkd,
  pwd,
  list,
  nlst,
  site,
  syst,
  stat,
  help,
  noop,
  smnt,
  // RFC 2228 and 4217
  auth,
  pbsz,
  prot,
  ccc,
  adat,
  mic,
  conf,
  enc,
  // RFC 2389, 2428, 2640, 3659, 7151
  feat,
  opts,
  eprt,
  epsv,
  lang,
  mdtm,
  size,
  mlst,
  mlsd,
  host,
  // drafts and customs
  mfmt,
  mfct,
  mff,
  hash,
  rang,
  avbl,
  clnt,
  csid,
  xcrc,
  xmd5,
  xsha1,
  xsha256,
  xsha512,
  unknown,
};

enum class Argument : std::uint8_t { none, optional, required };

// What the table knows of each verb.
struct VerbFacts {
  Verb verb;
  std::string_view name;  // upper case, the one that HELP shows
  Argument argument;
  bool before_login;     // allowed to strangers
  bool during_transfer;  // answered while a transfer runs; others wait for its end
};
const VerbFacts& facts_of(Verb verb);
const std::vector<VerbFacts>& all_verbs();

struct Command {
  Verb verb = Verb::unknown;
  std::string name;      // as it was typed, for the reply; printable, at most 16 bytes
  std::string argument;  // without the one space before it
};

// A line without its end. The argument keeps its spaces but for those around commands that take no
// path; it has no CR, LF or NUL.
Command parse_command(std::string_view line);

// Two words, as SITE and OPTS take them: "CHMOD 644 a b" is {"CHMOD", "644 a b"}; upper case.
struct SubCommand {
  std::string name;
  std::string argument;
};
SubCommand split_word(std::string_view text);

// "-la name" as clients send it to LIST, NLST and STAT: flags are letters only.
struct ListArgument {
  bool all = false;        // -a, -A: names that begin with a dot
  bool recursive = false;  // -R
  bool itself = false;     // -d
  std::string path;
};
ListArgument parse_list_argument(std::string_view text);

// A decimal number without sign; nothing when it is none or does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

// Bytes into lines. Telnet's commands (RFC 854) are taken out; the Interrupt Process that goes
// before an urgent ABOR among them. A line ends with LF, with CR LF or with CR NUL.
class LineReader {
 public:
  static constexpr std::size_t line_max = 8192;

  void add(std::string_view bytes);

  struct Line {
    std::string text;
    bool too_long = false;  // `text` is empty then
  };
  std::optional<Line> next();

  // Nothing of an unfinished line has come.
  bool idle() const { return line_.empty() && !overflow_; }
  // Bytes that wait for next(): the session stops reading when there are many.
  std::size_t waiting() const { return input_.size() - at_; }
  // Forgets what was read: what came in the clear before TLS must not be obeyed after it.
  void clear();

 private:
  enum class Telnet : std::uint8_t { data, command, option, sub, sub_command };

  std::string input_;
  std::size_t at_ = 0;
  std::string line_;
  Telnet telnet_ = Telnet::data;
  bool after_return_ = false;
  bool overflow_ = false;
};

}  // namespace lafs::ftp
