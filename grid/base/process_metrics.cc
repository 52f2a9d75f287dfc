// SPDX-License-Identifier: Apache-2.0
#include "grid/base/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "grid/base/log_setup.h"

namespace lafs::metrics {

namespace {

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file) return NAN;
  unsigned long total = 0, resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE))
                   : NAN;
}

double open_files() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator i("/proc/self/fd", error), end; !error && i != end;
       i.increment(error))
    ++count;
  return error ? NAN : count - 1;  // without the one that looked
}

Registry* make() {
  auto* out = new Registry;
  const auto began = static_cast<double>(std::chrono::duration_cast<std::chrono::seconds>(
                                             std::chrono::system_clock::now().time_since_epoch())
                                             .count());
  out->ask("process_start_time_seconds", "When the process started.", {},
           [began] { return began; });
  out->ask("process_cpu_seconds", "Processor time.", {}, cpu_seconds);
  out->ask("process_resident_memory_bytes", "Memory in use.", {}, resident_bytes);
  out->ask("process_open_fds", "Open file descriptors.", {}, open_files);
  using log::Level;
  for (const auto& [level, name] :
       {std::pair(Level::error, "error"), std::pair(Level::warning, "warning"),
        std::pair(Level::info, "info")}) {
    out->ask("lafs_log_lines", "Lines logged since the start.", {{"level", name}},
             [level = level] { return static_cast<double>(log::lines(level)); });
  }
  return out;
}

}  // namespace

Registry& of_process() {
  // Never destroyed: counters are used by whatever runs last.
  static Registry* registry = make();
  return *registry;
}

}  // namespace lafs::metrics
