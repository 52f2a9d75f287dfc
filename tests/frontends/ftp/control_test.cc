// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/control.h"

#include <catch2/catch.hpp>

using namespace lafs::ftp;

namespace {

Control::Options on_loopback() {
  Control::Options options;
  options.plain = true;
  options.peer = *Address::parse("127.0.0.1");
  options.own = *Address::parse("127.0.0.1");
  return options;
}

Control::Options from_afar() {
  auto options = on_loopback();
  options.plain = false;
  options.peer = *Address::parse("192.0.2.7");
  options.own = *Address::parse("192.0.2.1");
  return options;
}

struct Talk {
  explicit Talk(Control::Options options = on_loopback()) : control(std::move(options)) {}

  Step say(std::string_view line) { return control.command(parse_command(line)); }
  int code(std::string_view line) {
    const auto step = say(line);
    const bool is_reply = step.what == Do::reply || step.what == Do::quit ||
                          step.what == Do::start_tls || step.what == Do::log_out;
    return is_reply ? step.reply.code : 0;
  }
  Do what(std::string_view line) { return say(line).what; }
  Talk& login() {
    CHECK(code("USER alice") == 331);
    CHECK(what("PASS secret") == Do::log_in);
    CHECK(control.logged_in("alice", "/home", false).code == 230);
    return *this;
  }
  Talk& secure() {
    CHECK(what("AUTH TLS") == Do::start_tls);
    control.tls_started();
    return *this;
  }

  Control control;
};

// An argument that each verb accepts.
std::string argument_for(Verb verb) {
  switch (verb) {
    case Verb::type:
      return "I";
    case Verb::mode:
      return "S";
    case Verb::stru:
      return "F";
    case Verb::port:
      return "127,0,0,1,200,1";
    case Verb::eprt:
      return "|1|127.0.0.1|51201|";
    case Verb::rest:
    case Verb::allo:
    case Verb::pbsz:
      return "0";
    case Verb::rang:
      return "1 2";
    case Verb::auth:
      return "TLS";
    case Verb::prot:
      return "P";
    case Verb::opts:
      return "UTF8 ON";
    case Verb::site:
      return "CHMOD 644 f";
    case Verb::mfmt:
    case Verb::mfct:
      return "20260101000000 f";
    case Verb::mff:
      return "Modify=20260101000000; f";
    default:
      return facts_of(verb).argument == Argument::required ? "f" : "";
  }
}

std::string line_for(const VerbFacts& facts) {
  const auto argument = argument_for(facts.verb);
  return std::string(facts.name) + (argument.empty() ? "" : " " + argument);
}

}  // namespace

TEST_CASE("a stranger gets at nothing, whatever is said") {
  for (const auto& facts : all_verbs()) {
    if (facts.name.empty()) continue;
    for (const bool named : {false, true}) {
      Talk talk;
      if (named) talk.say("USER alice");
      const auto step = talk.say(line_for(facts));
      INFO(facts.name);
      const bool harmless = step.what == Do::reply || step.what == Do::quit ||
                            step.what == Do::start_tls || step.what == Do::log_in ||
                            step.what == Do::log_out || step.what == Do::abort ||
                            (step.what == Do::allocate && facts.before_login);
      CHECK(harmless);
      if (!facts.before_login) CHECK(step.reply.code == 530);
    }
  }
}

TEST_CASE("every verb of the table has an answer once somebody is logged in") {
  for (const auto& facts : all_verbs()) {
    Talk talk;
    talk.login();
    talk.control.listening();
    const auto step = talk.say(line_for(facts));
    INFO(facts.name);
    if (step.what == Do::reply) CHECK(step.reply.code >= 200);
    // What needs an argument says so.
    if (facts.argument == Argument::required && !facts.name.empty()) {
      CHECK(talk.code(facts.name) == (facts.verb == Verb::rnto ? 501 : 501));
    }
    if (facts.argument == Argument::none && facts.verb != Verb::quit && facts.verb != Verb::pasv)
      CHECK(talk.code(std::string(facts.name) + " something") == 501);
  }
}

TEST_CASE("logins: order, tries and the second user") {
  Talk talk;
  CHECK(talk.code("PASS x") == 503);
  CHECK(talk.code("USER alice") == 331);
  CHECK(talk.what("PASS wrong") == Do::log_in);
  CHECK(talk.control.login_refused(false).reply.code == 530);
  CHECK(talk.code("PASS again") == 503);
  talk.say("USER alice");
  CHECK(talk.control.login_refused(false).what == Do::reply);
  talk.say("USER alice");
  const auto last = talk.control.login_refused(false);
  CHECK(last.what == Do::quit);
  CHECK(last.reply.code == 421);

  Talk in;
  in.login();
  CHECK(in.code("USER bob") == 530);
  CHECK(in.code("PASS x") == 202);
  CHECK(in.what("REIN") == Do::log_out);
  CHECK_FALSE(in.control.is_logged_in());
  CHECK(in.code("PWD") == 530);
  in.login();
  CHECK(in.code("PWD") == 257);
}

TEST_CASE("a stranger who talks too much is shown out") {
  Talk talk;
  for (int i = 0; i < 50; ++i) CHECK(talk.what("NOOP") == Do::reply);
  CHECK(talk.what("NOOP") == Do::quit);
}

TEST_CASE("from afar nothing is said or sent in the clear") {
  Talk talk(from_afar());
  CHECK(talk.code("USER alice") == 530);
  CHECK(talk.code("PBSZ 0") == 503);
  CHECK(talk.code("PROT P") == 503);
  talk.secure();
  CHECK(talk.code("AUTH TLS") == 503);
  CHECK(talk.code("PROT P") == 503);  // PBSZ comes first
  talk.login();
  talk.control.listening();
  CHECK(talk.code("LIST") == 521);
  CHECK(talk.code("PBSZ 0") == 200);
  CHECK(talk.code("PROT C") == 534);
  CHECK(talk.code("PROT S") == 536);
  CHECK(talk.code("PROT E") == 536);
  CHECK(talk.code("PROT X") == 504);
  CHECK(talk.code("PROT P") == 200);
  CHECK(talk.code("CCC") == 533);
  talk.control.listening();
  CHECK(talk.what("LIST") == Do::list);
}

TEST_CASE("what was said before TLS is forgotten") {
  Talk talk;
  talk.say("USER alice");
  CHECK(talk.code("AUTH TLS") == 503);
  Talk fresh;
  fresh.say("HOST example.org");
  fresh.secure();
  CHECK(fresh.control.virtual_host().empty());
  CHECK(fresh.code("PASS x") == 503);
  CHECK(fresh.code("AUTH NONE") == 503);
  Talk other;
  CHECK(other.code("AUTH KERBEROS_V4") == 504);
}

TEST_CASE("types, modes and structures") {
  Talk talk;
  talk.login();
  for (const auto& [line, code] :
       std::vector<std::pair<std::string, int>>{{"TYPE A", 200},
                                                {"TYPE A N", 200},
                                                {"TYPE A T", 504},
                                                {"TYPE I", 200},
                                                {"TYPE L 8", 200},
                                                {"TYPE L8", 200},
                                                {"TYPE L 7", 504},
                                                {"TYPE E", 504},
                                                {"TYPE X", 501},
                                                {"MODE S", 200},
                                                {"MODE B", 504},
                                                {"MODE C", 504},
                                                {"MODE Q", 501},
                                                {"STRU F", 200},
                                                {"STRU R", 504},
                                                {"STRU P", 504},
                                                {"STRU Q", 501},
                                                {"SMNT x", 502},
                                                {"ADAT x", 502},
                                                {"SYST", 215},
                                                {"NOOP", 200},
                                                {"ACCT x", 202},
                                                {"HELP", 214},
                                                {"FEAT", 211},
                                                {"OPTS UTF8 ON", 200},
                                                {"OPTS UTF8 OFF", 501},
                                                {"OPTS X", 501},
                                                {"OPTS HASH SHA-1", 200},
                                                {"OPTS HASH X", 501},
                                                {"LANG", 200},
                                                {"LANG fr", 504},
                                                {"CLNT x", 200},
                                                {"CSID a=b;", 200},
                                                {"REST 5", 350},
                                                {"REST x", 501},
                                                {"REST -1", 501},
                                                {"REST 99999999999999999999", 501},
                                                {"SITE HELP", 214},
                                                {"SITE IDLE 60", 200},
                                                {"SITE IDLE 1", 501},
                                                {"SITE X", 500},
                                                {"SITE CPTO x", 503},
                                                {"SITE CHMOD 8 f", 501},
                                                {"SITE CHMOD 644", 501},
                                                {"NONSENSE", 500},
                                                {"", 500},
                                                {"HOST x", 503},
                                                {"RNTO x", 503},
                                                {"MFMT x y", 501},
                                                {"MFF x=y; f", 504}}) {
    INFO(line);
    CHECK(talk.code(line) == code);
  }
  CHECK(talk.control.idle_limit() == 60);
  CHECK(talk.say("OPTS MLST Size;nonsense;modify;").reply.text == "MLST OPTS size;modify;");
}

TEST_CASE("data connections go to the peer only") {
  Talk talk;
  talk.login();
  CHECK(talk.code("LIST") == 425);
  CHECK(talk.code("PORT 127,0,0,1,200,1") == 200);
  REQUIRE(talk.control.active_target());
  CHECK(talk.control.active_target()->port == 51201);
  CHECK(talk.code("PORT 10,0,0,1,200,1") == 501);
  CHECK(talk.code("PORT 127,0,0,1,0,25") == 501);
  CHECK(talk.code("PORT 127,0,0,1,200") == 501);
  CHECK(talk.code("EPRT |1|127.0.0.1|51201|") == 200);
  CHECK(talk.code("EPRT |1|10.0.0.1|51201|") == 501);
  CHECK(talk.code("EPRT |2|::1|51201|") == 522);
  CHECK(talk.code("EPRT |3|x|51201|") == 522);
  CHECK(talk.code("EPRT nonsense") == 501);
  CHECK(talk.what("PASV") == Do::passive);
  CHECK(talk.what("EPSV 1") == Do::extended_passive);
  CHECK(talk.code("EPSV 2") == 522);
  CHECK(talk.code("EPSV ALL") == 200);
  CHECK(talk.code("PASV") == 501);
  CHECK(talk.code("PORT 127,0,0,1,200,1") == 501);
  CHECK(talk.what("EPSV") == Do::extended_passive);

  auto v6 = on_loopback();
  v6.peer = v6.own = *Address::parse("::1");
  Talk six(v6);
  six.login();
  CHECK(six.code("PASV") == 425);
  CHECK(six.code("PORT 127,0,0,1,200,1") == 425);
  CHECK(six.code("EPRT |2|::1|51201|") == 200);
}

TEST_CASE("a restart position is for the next transfer only, and RNTO follows RNFR at once") {
  Talk talk;
  talk.login();
  talk.say("REST 7");
  talk.control.listening();
  CHECK(talk.say("RETR f").range.begin == 7);
  CHECK(talk.say("RETR f").range.begin == 0);
  CHECK(talk.code("RANG 2 5") == 350);
  CHECK(talk.say("RETR f").range == Range{2, 6});
  CHECK(talk.code("RANG 5 2") == 501);
  CHECK(talk.code("RANG 1 0") == 350);

  CHECK(talk.what("RNFR a") == Do::rename_from);
  talk.control.renaming_from("/home/a");
  const auto rename = talk.say("RNTO b");
  CHECK(rename.path == "/home/a");
  CHECK(rename.second == "/home/b");
  talk.control.renaming_from("/home/a");
  talk.say("NOOP");
  CHECK(talk.code("RNTO b") == 503);
}

TEST_CASE("paths are seen from where the client is") {
  Talk talk;
  talk.login();
  CHECK(talk.say("SIZE x y").path == "/home/x y");
  CHECK(talk.say("SIZE /x").path == "/x");
  CHECK(talk.say("CWD").path == "/home/");
  talk.control.changed_directory("/a\"b");
  CHECK(talk.say("PWD").reply.wire() == "257 \"/a\"\"b\" is the current directory\r\n");
  CHECK(talk.say("CDUP").path == "/a\"b/..");
  talk.control.listening();
  const auto list = talk.say("LIST -la some dir");
  CHECK(list.listing.all);
  CHECK(list.path == "/a\"b/some dir");
  CHECK(talk.say("MLSD ").name.empty());
  CHECK(talk.say("XMD5 a b 3 9").range == Range{3, 9});
  CHECK(talk.say("XMD5 \"a b\"").path == "/a\"b/a b");
  CHECK(talk.say("MDTM 20260101000000").what == Do::modified);
  CHECK(talk.say("MDTM 20260101000000 f").what == Do::set_modified);
  const auto link = talk.say("SITE SYMLINK \"to here\" link");
  CHECK(link.what == Do::make_link);
  CHECK(link.second == "to here");
}
