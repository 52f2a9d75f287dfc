// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include "frontends/app.h"

namespace {

// Segments and blocks are of some hundred kilobytes, and come and go all the time. By default the
// allocator gives them back to the kernel one by one, and gets them again as pages that have to be
// cleared: a quarter of the time of an upload. So large memory is kept until 64 MiB lie idle.
void keep_large_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_large_memory();
  return lafs::run_app(argc, argv);
}
