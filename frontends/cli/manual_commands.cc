// SPDX-License-Identifier: Apache-2.0

// lafs manual: manual pages and completions of this very program, for the installation.

#include <CLI/CLI.hpp>

#include "frontends/cli/commands.h"
#include "frontends/cli/manual.h"
#include "frontends/cli/output.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

struct ManualOptions {
  std::string pages;
  std::string shell;
};

Result<Exit> manual(const Commands& commands, const ManualOptions& options) {
  if (options.pages.empty() == options.shell.empty())
    return fail(Errc::bad_argument, "give either --pages or --completion");
  if (!options.shell.empty()) {
    const auto shell = options.shell == "bash"  ? Shell::bash
                       : options.shell == "zsh" ? Shell::zsh
                                                : Shell::fish;
    print(completion_for(commands.table(), shell));
    return Exit::ok;
  }
  TRY_DO(grid::make_directory(options.pages, 0755));
  for (const auto& page : manual_pages(commands.table())) {
    TRY_DO(grid::replace_file(std::filesystem::path(options.pages) / page.file, page.text,
                              grid::public_file));
  }
  return Exit::ok;
}

}  // namespace

void add_manual_commands(Commands& commands) {
  auto* command = commands.add("manual", "Write manual pages, or a shell's completion");
  auto options = std::make_shared<ManualOptions>();
  command->add_option("--pages", options->pages, "Write a page for each command there")
      ->type_name("DIR");
  command->add_option("--completion", options->shell, "Print the completion for a shell")
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  commands.on(command, [&commands, options] { return manual(commands, *options); });
}

}  // namespace lafs::cli
