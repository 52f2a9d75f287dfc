// SPDX-License-Identifier: Apache-2.0

// lafs bench mount

#include <CLI/CLI.hpp>

#include "frontends/cli/bench_mount.h"
#include "frontends/cli/commands.h"
#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

struct Options {
  MountBench what;
  std::string directory, rival, in;
  bool json = false;
};

// A directory that is there already: another drive, another rival.
Result<std::vector<MountFigure>> work_in(const std::string& directory, const MountBench& what) {
  const auto tree =
      std::filesystem::temp_directory_path() / ("lafs-bench-tree-" + std::to_string(::getpid()));
  std::filesystem::create_directory(tree);
  TRY_DO(make_source_tree(tree, what.scale));
  auto figures = drive_pass(directory, tree, what.scale, what.only);
  std::filesystem::remove_all(tree);
  if (!figures) return std::unexpected(std::move(figures.error()));
  std::vector<MountFigure> out;
  for (std::size_t i = 0; i < figures->size(); ++i)
    if ((*figures)[i]) out.push_back({drive_rows()[i], *(*figures)[i], {}});
  return out;
}

Result<Exit> bench_mount_command(Options options) {
  options.what.directory = options.directory;
  options.what.against_gocryptfs = options.rival == "gocryptfs";
  const auto tell = [&](const std::vector<MountFigure>& figures) {
    print(options.json ? mount_figures_json(figures) : mount_figures_table(figures));
    (void)finish_output();  // now, and once more at the end, where an error is told
  };
  if (options.in.empty()) {
    TRY_DO(bench_mount(options.what, tell));
  } else {
    TRY(figures, work_in(options.in, options.what));
    tell(figures);
  }
  return Exit::ok;
}

}  // namespace

void add_bench_mount_command(Commands& commands) {
  auto* command = commands.add("bench mount", "Measure a drive of a grid on this machine");
  auto options = std::make_shared<Options>();
  command->add_option("--vs", options->rival, "Work in a drive of this program by turns")
      ->check(CLI::IsMember({"gocryptfs"}));
  command->add_option("--dir", options->directory, "Where everything is put (default: /tmp)")
      ->type_name("DIR");
  command->add_option("--in", options->in, "Only work in a directory that is there: any drive")
      ->type_name("DIR");
  command->add_option("--servers", options->what.servers, "Storage servers")->capture_default_str();
  command->add_option("--shares", options->what.shares, "Needed, servers to write, in all")
      ->type_name("K,H,N")
      ->capture_default_str();
  command->add_option("--rounds", options->what.rounds, "The median of them counts")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  std::vector<std::string> keys;
  for (const auto& row : drive_rows()) keys.push_back(row.key);
  command->add_option("--only", options->what.only, "Only these rows")
      ->check(CLI::IsMember(keys))
      ->delimiter(',')
      ->type_name("ROW,...");
  command->add_option("--megabytes", options->what.scale.megabytes, "Of the large file")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--files", options->what.scale.files, "Small ones")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on(command, [options] { return bench_mount_command(*options); });
}

}  // namespace lafs::cli
