// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace lafs::cli {

class Commands;

void add_link_commands(Commands& commands);    // ln, create-alias, add-alias, list-aliases
void add_survey_commands(Commands& commands);  // manifest, stats
void add_bench_directory(Commands& commands);  // bench directory

}  // namespace lafs::cli
