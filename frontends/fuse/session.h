// SPDX-License-Identifier: Apache-2.0
#pragma once

// libfuse's session: the mount and the descriptor that the kernel's requests come from. Owned by
// Mount, which decides when to look; nothing here waits.

#include <memory>
#include <string>
#include <vector>

#include "grid/base/result.h"

struct fuse_session;

namespace lafs::fuse {

class Dispatch;

class Session {
 public:
  // Mounts at `mountpoint` with `options`, the words of mount -o. The requests go to `dispatch`,
  // which must outlive the Session, as must every request still unanswered.
  static Result<std::unique_ptr<Session>> start(Dispatch& dispatch, const std::string& mountpoint,
                                                const std::vector<std::string>& options);
  // Unmounts, when that has not happened yet: lazily, and after closing the descriptor, so that
  // nobody waits for us.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Closes the descriptor, and leaves alone what is mounted at the mountpoint: for mounts that have
  // been taken out of the tree already. Requests fail from now on; none may be unanswered.
  void abandon();

  int descriptor() const;  // non-blocking
  fuse_session* handle() { return session_; }

  enum class Step { request, nothing, ended };
  // Takes one request, if there is one. `ended`: unmounted, or the connection was cut.
  Step step();

 private:
  Session(Dispatch& dispatch, fuse_session* session) : dispatch_(dispatch), session_(session) {}

  Dispatch& dispatch_;
  fuse_session* session_;
};

}  // namespace lafs::fuse
