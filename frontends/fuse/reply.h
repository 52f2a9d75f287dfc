// SPDX-License-Identifier: Apache-2.0
#pragma once

// One answer to one request of the kernel. A process sleeps until it comes, so exactly one is sent
// whatever happens: a Reply that is destroyed unanswered (an exception on the way) says EIO. One
// whose process is being killed may be answered early, through Pending; what comes after that is
// then as if the kernel did not take it.

#include <memory>
#include <span>
#include <string>

#include "frontends/fs/locks.h"
#include "frontends/fs/types.h"
#include "frontends/fuse/pending.h"
#include "grid/base/result.h"
#include "grid/base/task.h"

struct fuse_req;
struct fuse_file_info;
struct fuse_entry_param;

namespace lafs::fuse {

// How long the kernel may go on without asking, in seconds.
struct Timeouts {
  double attributes = 1;
  double entry = 1;     // that a name is there
  double negative = 0;  // that a name is not there
};

// How the kernel is to treat an open file.
struct OpenHints {
  bool keep_cache = false;  // its cached pages are still right
  bool no_flush = false;    // FLUSH tells us nothing
};

class Reply {
 public:
  // `operation` is a literal, for the log.
  Reply(fuse_req* request, const char* operation, const Timeouts& timeouts, Pending& pending,
        std::uint64_t unique)
      : request_(request),
        operation_(operation),
        timeouts_(&timeouts),
        unique_(unique),
        pending_(&pending),
        place_(pending.add(this)) {}
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&&) = delete;
  ~Reply();

  void ok();
  void error(const Error& error);  // logs what an errno does not say
  void error(int number);
  // To a process that is being killed: EINTR, and what waits for its sake stops.
  void abandon();
  // A lock that is waited for until this is answered.
  void waits_for(std::shared_ptr<fs::LockWait> lock) { lock_ = std::move(lock); }
  bool answered() const { return !request_; }
  // For Result<>.
  void done(const Result<>& result);

  // These return false when the kernel did not take the answer (the request was aborted): it then
  // holds neither the references nor the handle that the answer was about.
  bool entry(const fs::Attributes& attributes);
  bool created(const fs::Attributes& attributes, fs::HandleId handle, OpenHints hints);
  bool opened(fs::HandleId handle, OpenHints hints);
  bool bytes(ByteView data);

  void no_entry();  // not found, and to be remembered as such
  void attributes(const fs::Attributes& attributes);
  void link_target(const std::string& target);
  void written(std::size_t size);
  void space(const fs::SpaceInfo& space);
  void needed_size(std::size_t size);  // of an extended attribute
  void lock(const std::optional<fs::Lock>& in_the_way);
  void offset(std::uint64_t offset);

  std::uint64_t unique() const { return unique_; }
  // The raw request, for fuse_add_direntry(); null once answered.
  fuse_req* request() const { return request_; }
  const Timeouts& timeouts() const { return *timeouts_; }
  void fill(fuse_entry_param& entry, const fs::Attributes& attributes) const;

 private:
  fuse_req* take();  // null when it was answered early

  fuse_req* request_;
  const char* operation_;
  const Timeouts* timeouts_;
  std::uint64_t unique_;  // the kernel's number of the request
  Pending* pending_;
  Pending::Place place_;  // while there is a request
  TimePoint begin_ = Clock::now();
  std::shared_ptr<fs::LockWait> lock_;
};

}  // namespace lafs::fuse
