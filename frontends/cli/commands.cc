// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "frontends/cli/output.h"
#include "grid/base/log.h"
#include "grid/base/version.h"
#include "grid/node_dir.h"

namespace lafs::cli {

namespace {

constexpr const char* exit_statuses =
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 grid or servers not reachable,\n"
    "5 node directory or configuration wrong, 6 data damaged, 128+N ended by signal N.";

// What comes after the program's own name: "grid start" for the command `lafs grid start`.
std::string name_of_command(const CLI::App* command) {
  std::string out;
  for (; command && command->get_parent(); command = command->get_parent()) {
    out = command->get_name() + (out.empty() ? "" : " ") + out;
  }
  return out;
}

const CLI::App* deepest(const CLI::App* app) {
  for (const auto* sub : app->get_subcommands()) return deepest(sub);
  return app;
}

}  // namespace

std::filesystem::path Globals::node_path() const {
  return node.empty() ? grid::NodeDir::default_path() : std::filesystem::path(node);
}

Commands::Commands()
    : app_(std::make_unique<CLI::App>(
          "lafs: a Tahoe-LAFS grid as a drive, for people and for programs", "lafs")) {
  app_->set_version_flag("--version", "lafs " + std::string(program_version.substr(5)));
  app_->add_option("--node", globals_.node, "Node directory (default: $LAFS_NODE, else ~/.lafs)")
      ->type_name("DIR");
  app_->add_option("--log", globals_.log_level,
                   "What to log (default: warning, or what tahoe.cfg says)")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
  app_->require_subcommand(1);
  // --node and --log may also stand behind the command.
  app_->fallthrough();
  app_->footer(exit_statuses);
}

Commands::~Commands() = default;

CLI::App* Commands::group(const std::string& name) {
  const auto same_name = [&](const CLI::App* sub) { return sub->get_name() == name; };
  for (auto* there : app_->get_subcommands(same_name)) return there;
  auto* made = app_->add_subcommand(name);
  made->fallthrough();
  made->require_subcommand(1);
  return made;
}

CLI::App* Commands::add(const std::string& name, const std::string& description) {
  const auto blank = name.find(' ');
  auto* parent = blank == name.npos ? app_.get() : group(name.substr(0, blank));
  auto* made =
      parent->add_subcommand(blank == name.npos ? name : name.substr(blank + 1), description);
  made->fallthrough();
  if (parent != app_.get()) {
    const auto so_far = parent->get_description();
    parent->description(so_far + (so_far.empty() ? "" : " ") + description + ".");
  }
  return made;
}

void Commands::on(CLI::App* command, std::function<Result<Exit>()> body) {
  command->callback([this, command, body = std::move(body)] {
    chosen_name_ = name_of_command(command);
    chosen_ = [body] { return Ended{body(), 0}; };
  });
}

void Commands::on_io(CLI::App* command, std::function<Task<Result<Exit>>(Io)> body) {
  command->callback([this, command, body = std::move(body)] {
    chosen_name_ = name_of_command(command);
    chosen_ = [body] { return run_io(body); };
  });
}

int Commands::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    app_->exit(wanted);
    return static_cast<int>(Exit::ok);
  } catch (const CLI::ParseError& error) {
    const auto name = name_of_command(deepest(app_.get()));
    std::fprintf(stderr, "lafs: %s%s%s; see `lafs %s%s--help`\n", name.c_str(),
                 name.empty() ? "" : ": ", printable(error.what()).c_str(), name.c_str(),
                 name.empty() ? "" : " ");
    return static_cast<int>(Exit::usage);
  }
  log::set_level_from_name(globals_.log_level);
  auto ended = chosen_();
  if (ended.result) {
    if (auto printed = finish_output(); !printed) ended.result = std::unexpected(printed.error());
  }
  if (ended.result) return static_cast<int>(*ended.result);
  if (ended.signal) ended.result = fail(Errc::cancelled);
  const auto& error = ended.result.error();
  std::fprintf(stderr, "%s\n", error_line(chosen_name_, error).c_str());
  return ended.signal ? 128 + ended.signal : static_cast<int>(exit_of(error.code));
}

}  // namespace lafs::cli
