// SPDX-License-Identifier: Apache-2.0
#pragma once

// The conformance list: what a program may expect of a POSIX filesystem, one rule each. A rule is a
// function that gets an empty directory, works there with system calls, and throws Failure when
// something is not as it must be. The same list runs on the plain OS (which tests the rules), on a
// mount of MemFs and on a mount of the grid.

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace conformance {

struct Failure {
  std::string what;
};
// The rule does not apply here: not root, or an optional feature is not there.
struct Skipped {
  std::string why;
};

using Check = std::function<void(const std::string& directory)>;
struct Rule {
  std::string name;
  Check check;
};

// One list per file; all_rules() is all of them.
std::vector<Rule> name_rules();
std::vector<Rule> directory_rules();
std::vector<Rule> file_rules();
std::vector<Rule> content_rules();
std::vector<Rule> attribute_rules();
std::vector<Rule> rename_rules();
std::vector<Rule> permission_rules();
std::vector<Rule> program_rules();
std::vector<Rule> lock_rules();
std::vector<Rule> range_rules();
std::vector<Rule> error_rules();
std::vector<Rule> all_rules();

[[noreturn]] void fail_at(const char* file, int line, const std::string& what);

// The condition must hold; errno is shown when it does not.
#define MUST(...)                                                                          \
  do {                                                                                     \
    errno = 0;                                                                             \
    if (!(__VA_ARGS__))                                                                    \
      ::conformance::fail_at(                                                              \
          __FILE__, __LINE__,                                                              \
          std::string(#__VA_ARGS__) + (errno ? std::string(": ") + strerror(errno) : "")); \
  } while (0)

// The system call must return -1 with this errno.
#define MUST_FAIL(expression, code)                                                         \
  do {                                                                                      \
    errno = 0;                                                                              \
    const auto must_fail_result = (expression);                                             \
    if (must_fail_result != -1 || errno != (code))                                          \
      ::conformance::fail_at(__FILE__, __LINE__,                                            \
                             std::string(#expression) + " must fail with " #code " but " +  \
                                 (must_fail_result == -1 ? strerror(errno) : "succeeded")); \
  } while (0)

}  // namespace conformance
