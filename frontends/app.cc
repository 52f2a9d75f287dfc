// SPDX-License-Identifier: Apache-2.0
#include "frontends/app.h"

#include <sys/resource.h>

#include "frontends/accounts_command.h"
#include "frontends/cache_commands.h"
#include "frontends/cli/bench_mount.h"
#include "frontends/cli/commands.h"
#include "frontends/cli/daemon_commands.h"
#include "frontends/cli/link_commands.h"
#include "frontends/ftp_bench.h"
#include "frontends/ftp_command.h"
#include "frontends/mount_command.h"
#include "frontends/run_command.h"
#include "frontends/sftp_bench.h"
#include "frontends/sftp_command.h"

namespace lafs {

namespace {

// Connections, staging files, databases: the system's usual soft limit is for programs that pass
// descriptors to select(2), which nothing here does.
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int run_app(int argc, char** argv) {
  allow_many_descriptors();
  cli::Commands commands;
  cli::add_node_commands(commands);
  cli::add_file_commands(commands);
  cli::add_tree_commands(commands);
  cli::add_link_commands(commands);
  cli::add_copy_commands(commands);
  cli::add_survey_commands(commands);
  cli::add_check_commands(commands);
  add_mount_commands(commands);
  add_sftp_commands(commands);
  add_accounts_commands(commands);
  add_ftp_command(commands);
  cli::add_daemon_commands(commands);
  add_ftp_bench(commands);
  add_sftp_bench(commands);
  cli::add_storage_commands(commands);
  cli::add_storage_report_commands(commands);
  cli::add_config_commands(commands);
  cli::add_doctor_commands(commands);
  add_run_command(commands);
  cli::add_introducer_commands(commands);
  cli::add_grid_commands(commands);
  cli::add_bench_commands(commands);
  add_cache_commands(commands);
  cli::add_bench_mount_command(commands);
  cli::add_manual_commands(commands);
  cli::add_bench_directory(commands);
  return commands.run(argc, argv);
}

}  // namespace lafs
