// SPDX-License-Identifier: Apache-2.0
#pragma once

// What one FTP session is allowed to do next, and what each line of the client means in it: login,
// protection, type, where the data goes, what RNFR and REST left for the next command. Decides; no
// socket, no file, no clock. The session carries out what a Step says and reports back.
//
// Invariant: nothing that reads or changes a file, and no data connection, comes out of a Control
// that nobody has logged in to; nothing in the clear when protection is required.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frontends/ftp/command.h"
#include "frontends/ftp/data_address.h"
#include "frontends/ftp/facts.h"
#include "frontends/ftp/reply.h"

namespace lafs::ftp {

// What the session has to do. Unless it is one of the first three, it finds out the reply itself.
enum class Do : std::uint8_t {
  reply,             // send step.reply
  quit,              // send it, then hang up
  start_tls,         // send it, then shake hands
  log_in,            // text = account, second = password
  log_out,           // forget who this was, then send step.reply
  passive,           // listen; answer 227
  extended_passive,  // listen; answer 229
  abort,             // end the transfer that runs, if any
  status,            // 211 about this session
  list,
  names,
  machine_list,   // over the data connection; list: `listing` says how
  status_of,      // STAT path: LIST over the control connection
  machine_facts,  // MLST
  retrieve,
  store,
  append,
  store_unique,
  allocate,  // number = bytes that will come
  change_directory,
  make_directory,
  remove_directory,
  remove_file,
  rename_from,  // does it exist? then renaming_from()
  rename,       // path -> second
  copy_from,    // does it exist? then copying_from()
  copy,         // path -> second
  size,
  modified,
  set_modified,
  set_created,  // text = the time
  set_facts,    // text = "Modify=...;UNIX.mode=..."
  hash,         // with the algorithm in text; the range in range
  digest,       // XMD5 and its kind: text = algorithm, range
  available,
  set_mode,   // number = mode
  set_times,  // text = the times
  make_link,  // path = the new link, second = its target
};

// Bytes [begin, end) of a file; end absent: to its end.
struct Range {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end = std::nullopt;
  bool operator==(const Range&) const = default;
};

struct Step {
  Do what = Do::reply;
  Reply reply = {};
  std::string path = {};  // absolute
  std::string second = {};
  std::string text = {};
  std::string name = {};  // the path as it was typed, for replies that repeat it
  std::uint64_t number = 0;
  Range range = {};
  ListArgument listing = {};
};

class Control {
 public:
  struct Options {
    bool tls = true;            // AUTH TLS can be had
    bool implicit_tls = false;  // the connection began with it
    bool plain = false;         // logins and data in the clear are allowed
    bool active = true;         // PORT and EPRT
    Address peer, own;
    unsigned tries = 3;                                     // logins that may fail
    unsigned stranger_lines = 50;                           // commands before a login
    std::uint32_t idle_limit = 300, idle_limit_max = 7200;  // seconds; SITE IDLE
    std::string banner = "lafs FTP server";
  };

  explicit Control(Options options);

  Reply greeting() const;
  // A line that was too long to be read.
  Step too_long();
  Step command(const Command& command);

  // What the session found out.
  void tls_started();
  Reply logged_in(std::string account, std::string home, bool read_only);
  // quit: that was one too many, or a wrong moment.
  Step login_refused(bool busy);
  void changed_directory(std::string path) { directory_ = std::move(path); }
  void renaming_from(std::string path) { rename_from_ = std::move(path); }
  void copying_from(std::string path) { copy_from_ = std::move(path); }
  void listening() { data_ = Data::passive; }
  // A data connection serves one transfer.
  void data_used() {
    data_ = Data::none;
    announced_ = 0;
  }

  bool is_logged_in() const { return state_ == State::in; }
  bool is_protected() const { return tls_; }
  bool protects_data() const { return protect_data_; }
  bool is_ascii() const { return ascii_; }
  const std::string& account() const { return account_; }
  const std::string& directory() const { return directory_; }
  // Where active data goes; nothing: passive.
  const std::optional<Endpoint>& active_target() const { return target_; }
  FactSet facts() const { return facts_; }
  std::uint32_t idle_limit() const { return idle_limit_; }
  std::uint64_t announced_size() const { return announced_; }
  const std::string& virtual_host() const { return host_; }

  std::vector<std::string> status_lines() const;

 private:
  enum class State : std::uint8_t { stranger, named, in };
  enum class Data : std::uint8_t { none, passive, active };

  Step stranger(Verb verb);
  Step security(const Command& command);
  Step parameters(const Command& command);
  Step port(const Command& command);
  Step extended_passive(const Command& command);
  Step transfer(const Command& command);
  Step files(const Command& command);
  Step site(std::string_view argument);
  Step options(std::string_view argument);
  Step digest(const Command& command);
  Step times(const Command& command);
  Step range(std::string_view argument);
  Step on_path(Do what, const std::string& argument) const;
  std::string absolute(std::string_view path) const;
  Reply features() const;
  void forget_login();

  Options options_;
  State state_ = State::stranger;
  Data data_ = Data::none;
  bool tls_ = false, buffer_size_said_ = false, protect_data_ = false;
  bool ascii_ = true, only_extended_passive_ = false;
  unsigned failures_ = 0, lines_ = 0;
  std::uint32_t idle_limit_;
  FactSet facts_ = all_facts;
  Range range_;
  std::uint64_t announced_ = 0;
  std::optional<Endpoint> target_;
  std::optional<std::string> rename_from_, copy_from_;
  std::string account_, user_, home_ = "/", directory_ = "/", host_;
  std::string hash_ = "SHA-256";
};

}  // namespace lafs::ftp
