// SPDX-License-Identifier: Apache-2.0

// Control: what holds for the commands to come, and what the server can do.

#include "frontends/ftp/control_words.h"

namespace lafs::ftp {

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

}  // namespace lafs::ftp
