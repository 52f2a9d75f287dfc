// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of commands. Each family of commands adds itself with one function; the first body
// whose command was typed is run after everything was parsed.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frontends/cli/runner.h"

namespace CLI {
class App;
}

namespace lafs::cli {

// Options that every command has.
struct Globals {
  std::string node;       // --node; empty: the default
  std::string log_level;  // --log; empty: what tahoe.cfg says, else warning

  std::filesystem::path node_path() const;
};

class Commands {
 public:
  Commands();
  ~Commands();

  const Globals& globals() const { return globals_; }

  // "put", or "grid start" below a group that is made when first named.
  CLI::App* add(const std::string& name, const std::string& description);
  // What the command does: on this thread, or on the I/O thread.
  void on(CLI::App* command, std::function<Result<Exit>()> body);
  void on_io(CLI::App* command, std::function<Task<Result<Exit>>(Io)> body);

  // The whole table, for what describes it.
  const CLI::App& table() const { return *app_; }

  // Parses, runs, reports; returns the exit status.
  int run(int argc, char** argv);

 private:
  CLI::App* group(const std::string& name);

  Globals globals_;
  std::unique_ptr<CLI::App> app_;
  std::string chosen_name_;
  std::function<Ended()> chosen_;
};

// One function for each family.
void add_storage_commands(Commands& commands);         // serve storage
void add_storage_report_commands(Commands& commands);  // storage usage, gc, advisories
void add_grid_commands(Commands& commands);            // grid start, status, stop
void add_node_commands(Commands& commands);            // create-node, status
void add_file_commands(Commands& commands);            // put, get, cat
void add_tree_commands(Commands& commands);            // ls, mkdir, rm, mv, stat, cap
void add_copy_commands(Commands& commands);            // cp
void add_config_commands(Commands& commands);          // config check, show; node import
void add_doctor_commands(Commands& commands);          // doctor
void add_manual_commands(Commands& commands);          // manual
void add_introducer_commands(Commands& commands);      // serve introducer
void add_check_commands(Commands& commands);           // check, verify, repair
void add_bench_commands(Commands& commands);           // bench cpu, bench grid, bench storage
void add_bench_grid_command(Commands& commands);       // by add_bench_commands()

}  // namespace lafs::cli
