// SPDX-License-Identifier: Apache-2.0
#pragma once

// A descriptor that becomes readable when somebody says so: wakes a thread out of poll(2).

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace lafs::sftp {

class WakeFd {
 public:
  WakeFd() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~WakeFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;

  int fd() const { return fd_; }
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd_, &one, sizeof one);  // full is as good
  }
  void clear() const {
    std::uint64_t count;
    [[maybe_unused]] const auto n = ::read(fd_, &count, sizeof count);
  }

 private:
  int fd_;
};

}  // namespace lafs::sftp
