// SPDX-License-Identifier: Apache-2.0
#pragma once

// What check, verify and repair found about one file, as text for people and as JSON.

#include <map>
#include <string>

#include "frontends/cli/convert.h"
#include "grid/repairer.h"

namespace boost::json {
class object;
}

namespace lafs::cli {

// Server id -> what to call it.
using ServerNames = std::map<std::string, std::string>;
ServerNames server_names(const grid::storage::Roster& roster);

// One line, and below it, indented, what is wrong; with `all`, also where each share is.
std::string health_text(const std::string& place, const grid::RepairReport& report,
                        const ServerNames& names, bool all);
void add_health(boost::json::object& out, const grid::RepairReport& report,
                const ServerNames& names);

// ok: nothing is left to do; grid: too few shares to read it; failed: readable, and needs repair.
Exit exit_of_health(const grid::CheckReport& report);

}  // namespace lafs::cli
