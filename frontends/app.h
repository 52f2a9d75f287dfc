// SPDX-License-Identifier: Apache-2.0
#pragma once

// The program: all families of commands in one table.

namespace lafs {

int run_app(int argc, char** argv);

}  // namespace lafs
