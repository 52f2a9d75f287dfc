// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/manual.h"

#include <CLI/CLI.hpp>

#include "grid/base/version.h"

namespace lafs::cli {

namespace {

// One command that does something: "grid start".
struct Leaf {
  std::string words;
  const CLI::App* command;
};

bool hidden(const CLI::App& command) { return command.get_group().empty(); }

void collect(const CLI::App& group, const std::string& prefix, std::vector<Leaf>& out) {
  const auto below = group.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* command : below) {
    if (hidden(*command)) continue;
    const auto words = prefix.empty() ? command->get_name() : prefix + " " + command->get_name();
    if (command->get_subcommands([](const CLI::App*) { return true; }).empty()) {
      out.push_back({words, command});
    } else {
      collect(*command, words, out);
    }
  }
}

std::vector<Leaf> leaves(const CLI::App& program) {
  std::vector<Leaf> out;
  collect(program, "", out);
  return out;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// Text of a paragraph for roff.
std::string roff(std::string_view text) {
  std::string out;
  bool begin = true;
  for (const char c : text) {
    if (begin && (c == '.' || c == '\'')) out += "\\&";
    begin = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::string label(const CLI::Option& option) {
  std::string out;
  for (const auto& name : option.get_snames()) out += (out.empty() ? "-" : ", -") + name;
  for (const auto& name : option.get_lnames()) out += (out.empty() ? "--" : ", --") + name;
  if (out.empty()) return option.get_single_name();
  if (takes_value(option)) out += " " + option.get_type_name();
  return out;
}

std::string name_of_page(const std::string& words) { return "lafs-" + replaced(words, " ", "-"); }

std::string options_section(const CLI::App& command) {
  std::string out;
  for (const auto* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    out += ".TP\n.B " + roff(label(*option)) + "\n" + roff(option->get_description());
    if (!option->get_default_str().empty() && takes_value(*option))
      out += " (default: " + roff(option->get_default_str()) + ")";
    out += "\n";
  }
  return out;
}

std::string head(const std::string& name, const std::string& what) {
  return ".TH " + replaced(name, "-", "\\-") + " 1 \"\" \"" + roff(program_version) +
         "\" \"lafs\"\n.SH NAME\n" + roff(name) + " \\- " + roff(what) + "\n";
}

std::string synopsis(const Leaf& leaf) {
  std::string out = ".B lafs " + roff(leaf.words) + "\n[OPTION]...";
  for (const auto* option : leaf.command->get_options()) {
    if (!option->get_positional()) continue;
    const auto name = option->get_single_name();
    const bool many = option->get_items_expected_max() > 1;
    out += option->get_required() ? " " + roff(name) : " [" + roff(name) + "]";
    if (many) out += "...";
  }
  return out + "\n";
}

std::string overview(const CLI::App& program, const std::vector<Leaf>& all) {
  std::string out = head("lafs", program.get_description());
  out +=
      ".SH SYNOPSIS\n.B lafs\n[OPTION]... COMMAND [ARGUMENT]...\n.SH DESCRIPTION\n"
      "Keeps files on a Tahoe\\-LAFS grid: encrypted here, cut into shares of which any few give "
      "them back,\nand spread over storage servers that need not be trusted. A place is "
      "ALIAS:PATH, "
      "or a capability.\n.SH OPTIONS\n" +
      options_section(program) + ".SH COMMANDS\n";
  for (const auto& leaf : all)
    out += ".TP\n.BR " + roff(name_of_page(leaf.words)) + " (1)\n" +
           roff(leaf.command->get_description()) + "\n";
  out +=
      ".SH \"EXIT STATUS\"\n0: done. 1: failed. 2: what was typed makes no sense; nothing was "
      "done. "
      "3: there is nothing\nof that name. 4: too few servers or shares. 5: the node directory is "
      "wrong. 6: damaged beyond repair.\n130: ended by a signal.\n.SH FILES\n.TP\n.I "
      "~/.lafs\nThe node directory, unless\n.B \\-\\-node\nor\n.B $LAFS_NODE\nname another one. "
      "A Tahoe\\-LAFS node directory works as it is.\n";
  return out;
}

// ------------------------------------------------------------------------ completions

std::string option_words(const CLI::App& command) {
  std::string out;
  for (const auto* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    for (const auto& name : option->get_lnames()) out += (out.empty() ? "--" : " --") + name;
    for (const auto& name : option->get_snames()) out += (out.empty() ? "-" : " -") + name;
  }
  return out;
}

std::string bash_completion(const CLI::App& program, const std::vector<Leaf>& all) {
  std::string out =
      "# bash completion for lafs\n"
      "_lafs() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} words='' i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    [[ ${COMP_WORDS[i]} == -* ]] && continue\n"
      "    case \"${COMP_WORDS[i - 1]}\" in --node | --log) continue ;; esac\n"
      "    words=\"${words:+$words }${COMP_WORDS[i]}\"\n"
      "  done\n"
      "  local commands options=''\n"
      "  commands='";
  for (const auto& leaf : all) out += leaf.words + "\n";
  out += "'\n  case \"$words\" in\n";
  for (const auto& leaf : all)
    out += "    '" + leaf.words + "' | '" + leaf.words + " '*) options='" +
           option_words(*leaf.command) + "' ;;\n";
  out +=
      "  esac\n"
      "  if [[ -n $options ]]; then\n"
      "    if [[ $cur == -* ]]; then\n"
      "      COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
      "    else\n"
      "      COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "      compopt -o filenames\n"
      "    fi\n"
      "    return\n"
      "  fi\n"
      "  local next='" +
      option_words(program) +
      "' line\n"
      "  while read -r line; do\n"
      "    [[ -z $words ]] && next+=\" ${line%% *}\" && continue\n"
      "    [[ $line == \"$words \"* ]] && line=${line#\"$words \"} && next+=\" ${line%% *}\"\n"
      "  done <<<\"$commands\"\n"
      "  COMPREPLY=($(compgen -W \"$next\" -- \"$cur\"))\n"
      "}\n"
      "complete -F _lafs lafs\n";
  return out;
}

std::string fish_completion(const std::vector<Leaf>& all) {
  std::string out = "# fish completion for lafs\ncomplete -c lafs -n __fish_use_subcommand -f\n";
  const auto quoted = [](std::string_view text) {
    return "'" + replaced(std::string(text), "'", "\\'") + "'";
  };
  std::vector<std::string> said;
  for (const auto& leaf : all) {
    const auto space = leaf.words.find(' ');
    const auto first = leaf.words.substr(0, space);
    const bool nested = space != leaf.words.npos;
    if (!nested || std::ranges::find(said, first) == said.end()) {
      out += "complete -c lafs -n __fish_use_subcommand -a " + first + " -d " +
             quoted(nested ? first + " ..." : leaf.command->get_description()) + "\n";
      said.push_back(first);
    }
    if (nested) {
      out += "complete -c lafs -n '__fish_seen_subcommand_from " + first + "' -a " +
             leaf.words.substr(space + 1) + " -d " + quoted(leaf.command->get_description()) + "\n";
    }
    const auto last = leaf.words.substr(leaf.words.rfind(' ') + 1);
    for (const auto* option : leaf.command->get_options()) {
      if (option->get_group().empty()) continue;
      for (const auto& name : option->get_lnames()) {
        out += "complete -c lafs -n '__fish_seen_subcommand_from " + last + "' -l " + name +
               (takes_value(*option) ? " -r" : "") + " -d " + quoted(option->get_description()) +
               "\n";
      }
    }
  }
  return out;
}

std::string zsh_completion(const CLI::App& program, const std::vector<Leaf>& all) {
  // zsh runs bash's functions; one source of truth less to keep.
  return "#compdef lafs\nautoload -U +X bashcompinit && bashcompinit\n" +
         bash_completion(program, all);
}

}  // namespace

std::vector<ManualPage> manual_pages(const CLI::App& program) {
  const auto all = leaves(program);
  std::vector<ManualPage> out{{"lafs.1", overview(program, all)}};
  for (const auto& leaf : all) {
    auto text = head(name_of_page(leaf.words), leaf.command->get_description());
    text += ".SH SYNOPSIS\n" + synopsis(leaf) + ".SH OPTIONS\n" + options_section(*leaf.command) +
            ".SH \"SEE ALSO\"\n.BR lafs (1)\n";
    out.push_back({name_of_page(leaf.words) + ".1", std::move(text)});
  }
  return out;
}

std::string completion_for(const CLI::App& program, Shell shell) {
  const auto all = leaves(program);
  switch (shell) {
    case Shell::bash:
      return bash_completion(program, all);
    case Shell::zsh:
      return zsh_completion(program, all);
    case Shell::fish:
      return fish_completion(all);
  }
  return {};
}

}  // namespace lafs::cli
