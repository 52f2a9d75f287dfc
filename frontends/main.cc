// SPDX-License-Identifier: Apache-2.0
#include "frontends/app.h"

int main(int argc, char** argv) { return lafs::run_app(argc, argv); }
