// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernel says and libfuse 3.14 does not pass on: FUSE_HANDLE_KILLPRIV_V2 (protocol 7.33).
//
// Without it the kernel asks for the extended attribute security.capability before every single
// write(2). With it, the kernel says with each request whether set-id bits must go, and the daemon
// takes them away. libfuse does not negotiate it, so the answer to INIT is amended on its way out.

#include <sys/uio.h>

#include <span>

#include "grid/base/bytes.h"

namespace lafs::fuse {

class RawRequest {
 public:
  // Call with the bytes of each request before libfuse sees them. They come from the kernel, but
  // are bounds-checked as if they did not.
  void look_at(ByteView request);

  // The request looked at last changes content on behalf of somebody without CAP_FSETID.
  bool clears_set_id() const { return clears_set_id_; }

  // The kernel's number of the request looked at last, and the number of the one that it says was
  // interrupted; 0 for none.
  std::uint64_t unique() const { return unique_; }
  std::uint64_t interrupted() const { return interrupted_; }

  // Call with each answer before it goes to the kernel.
  void amend(std::span<iovec> answer);

 private:
  std::uint64_t init_ = 0;  // the unanswered INIT request that offers the feature; 0: none
  bool clears_set_id_ = false;
  std::uint64_t unique_ = 0;
  std::uint64_t interrupted_ = 0;
};

}  // namespace lafs::fuse
