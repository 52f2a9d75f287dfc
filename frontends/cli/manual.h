// SPDX-License-Identifier: Apache-2.0
#pragma once

// Manual pages and shell completions, made from the table of commands itself, so that they cannot
// say something else than the program does. Plain: text out.

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace lafs::cli {

struct ManualPage {
  std::string file;  // "lafs-mount.1"
  std::string text;  // roff
};

// lafs.1, and one page for each command that does something.
std::vector<ManualPage> manual_pages(const CLI::App& program);

enum class Shell { bash, zsh, fish };
std::string completion_for(const CLI::App& program, Shell shell);

}  // namespace lafs::cli
