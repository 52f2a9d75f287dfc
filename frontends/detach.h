// SPDX-License-Identifier: Apache-2.0
#pragma once

// Leaving the terminal: the program goes on in a new process, and the old one waits until that has
// got to work, so that what goes wrong at the start is still said where it was typed.

#include <filesystem>

#include "grid/base/result.h"

namespace lafs {

class Detached {
 public:
  // Forks. In the parent: waits, and ends the process's part in it by returning what the child said
  // (`is_child` false). In the child: a new session, standard input from nowhere, standard output
  // and error still where they were until ready(). Before any thread is started.
  static Result<Detached> fork();

  Detached(Detached&& other) noexcept;
  Detached& operator=(Detached&&) = delete;
  ~Detached();

  bool is_child() const { return pipe_ >= 0; }
  // The parent returns now. From here on, standard output and error go to `log`.
  Result<> ready(const std::filesystem::path& log);
  // The parent returns this error.
  void failed(const Error& error);

 private:
  explicit Detached(int pipe) : pipe_(pipe) {}
  int pipe_;  // -1 in the parent
};

}  // namespace lafs
