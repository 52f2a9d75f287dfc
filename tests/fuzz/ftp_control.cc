// SPDX-License-Identifier: Apache-2.0

// The control machine beside a model of what matters most: who is logged in, what is protected,
// whether there is a data connection. Lines of input are the client's; a line that begins with '+'
// or '-' says what the session found out after a PASS.

#include "frontends/ftp/control.h"

#include "tests/fuzz/fuzz.h"

using namespace lafs;
using namespace lafs::ftp;

namespace {

struct Model {
  bool plain, in = false, tls = false, data_protected = false, data = false;

  void check(const Control& control, const Step& step) const {
    const bool for_strangers = step.what == Do::reply || step.what == Do::quit ||
                               step.what == Do::start_tls || step.what == Do::log_in ||
                               step.what == Do::log_out || step.what == Do::abort ||
                               step.what == Do::allocate;
    FUZZ_REQUIRE(in || for_strangers);
    FUZZ_REQUIRE(control.is_logged_in() == in && control.is_protected() == tls);
    FUZZ_REQUIRE(step.what != Do::log_in || tls || plain);
    const bool transfer = step.what >= Do::list && step.what <= Do::machine_list;
    const bool file = step.what >= Do::retrieve && step.what <= Do::store_unique;
    if (transfer || file) FUZZ_REQUIRE(data && (plain || data_protected));
    FUZZ_REQUIRE(step.what != Do::reply || (step.reply.code >= 200 && step.reply.code < 600));
    FUZZ_REQUIRE(step.path.empty() || step.path.starts_with('/'));
    const auto wire = step.reply.wire();
    FUZZ_REQUIRE(!step.reply.lines.empty() || wire.find('\r') == wire.size() - 2);
    const auto& target = control.active_target();
    FUZZ_REQUIRE(!target || may_connect(*target, *Address::parse("192.0.2.7")));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Model model{.plain = (data[0] & 1) != 0};
  Control::Options options;
  options.plain = model.plain;
  options.peer = *Address::parse("192.0.2.7");
  options.own = *Address::parse("192.0.2.1");
  Control control(options);
  LineReader reader;
  reader.add(as_text({data + 1, size - 1}));
  bool asked = false;
  while (const auto line = reader.next()) {
    if (asked && line->text.starts_with('+')) {
      control.logged_in("alice", "/", false);
      model.in = true;
    } else if (asked) {
      control.login_refused(false);
    }
    asked = false;
    const auto command = parse_command(line->text);
    const auto step = control.command(command);
    const bool ok = step.what == Do::reply && step.reply.code == 200;
    if (ok && (command.verb == Verb::port || command.verb == Verb::eprt)) model.data = true;
    if (ok && command.verb == Verb::prot) model.data_protected = control.protects_data();
    if (step.what == Do::log_out) model.in = model.data = model.data_protected = false;
    model.check(control, step);
    if (step.what == Do::quit) return 0;
    if (step.what == Do::start_tls) {
      control.tls_started();
      model.tls = true;
      model.data_protected = control.protects_data();
    }
    if (step.what == Do::passive || step.what == Do::extended_passive) {
      control.listening();
      model.data = true;
    }
    asked = step.what == Do::log_in;
    if (step.reply.code == 521) model.data = false;
  }
  return 0;
}
