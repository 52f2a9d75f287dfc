// SPDX-License-Identifier: Apache-2.0
#pragma once

// The node-level conformance list: what every fs::Filesystem promises its frontends, one rule each,
// without any kernel between. Runs on MemFs and on the grid's filesystem.

#include <string>
#include <vector>

#include "frontends/fs/filesystem.h"
#include "tests/conformance/rules.h"

namespace conformance {

namespace fs = lafs::fs;
using lafs::Errc;

// Where a rule works, and what it holds there: a directory of its own, and all references it was
// given, which it gives back at its end. Its tasks are awaited at once.
class Place {
 public:
  Place(fs::Filesystem& filesystem, fs::NodeId where) : files(filesystem), room(where) {}
  ~Place() { let_go(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // Notes a reference to give back. The same node may be held several times.
  fs::NodeId hold(fs::NodeId node);
  void let_go();

  // Makes something in `parent`, which must work.
  lafs::Task<fs::NodeId> directory(fs::NodeId parent, std::string name);
  lafs::Task<fs::NodeId> file(fs::NodeId parent, std::string name, std::string content = {});
  // Through handles of their own.
  lafs::Task<> write(fs::NodeId node, std::uint64_t offset, std::string content);
  lafs::Task<std::string> content(fs::NodeId node);
  // All names, read `step` entries at a time, in the order they come.
  lafs::Task<std::vector<std::string>> list(fs::NodeId directory, std::size_t step = 1000);
  // The kind of error of a look-up, or nothing when the name is there.
  lafs::Task<std::optional<Errc>> missing(fs::NodeId parent, std::string name);

  fs::Filesystem& files;
  const fs::NodeId room;

 private:
  std::vector<fs::NodeId> held_;
};

struct NodeRule {
  std::string name;
  lafs::Task<> (*check)(Place&);
};

std::vector<NodeRule> node_name_rules();
std::vector<NodeRule> node_file_rules();

// Runs all rules below the root of `filesystem`; the result has one line for each that failed, so
// that it is empty when all is well. `count` becomes the number of rules that ran.
lafs::Task<std::vector<std::string>> run_node_rules(fs::Filesystem& filesystem, int& count);

// For rules: unpack a Result or fail, and expect a certain error.
#define FINE(var, ...)                                                                         \
  auto var##_r = (__VA_ARGS__);                                                                \
  if (!var##_r)                                                                                \
    ::conformance::fail_at(__FILE__, __LINE__, #__VA_ARGS__ ": " + var##_r.error().message()); \
  auto var = std::move(*var##_r)
#define FINE_DO(...)                                                                            \
  do {                                                                                          \
    const auto fine_r = (__VA_ARGS__);                                                          \
    if (!fine_r)                                                                                \
      ::conformance::fail_at(__FILE__, __LINE__, #__VA_ARGS__ ": " + fine_r.error().message()); \
  } while (0)
#define REFUSED(errc, ...)                                                                   \
  do {                                                                                       \
    const auto refused_r = (__VA_ARGS__);                                                    \
    if (refused_r || refused_r.error().code != Errc::errc)                                   \
      ::conformance::fail_at(                                                                \
          __FILE__, __LINE__,                                                                \
          #__VA_ARGS__ " must be " #errc " but " +                                           \
              (refused_r ? std::string("succeeded") : "is " + refused_r.error().message())); \
  } while (0)

}  // namespace conformance
