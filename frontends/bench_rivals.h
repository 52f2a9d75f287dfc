// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `bench ftp` and `bench sftp` share: processes that end with their object, a grid with a node
// of ours on it, and rounds in which we and a rival do the same work in turn.

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "frontends/cli/bench/figures.h"
#include "frontends/cli/convert.h"
#include "grid/base/result.h"

namespace lafs {

// A program that ends with this object. Its standard output can be read by the line; what it says
// on standard error is dropped.
class Child {
 public:
  explicit Child(const std::vector<std::string>& words);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  std::string line();
  void give_input(const std::string& text);  // all of it, then its end
  void drop_output();                        // until it ends
  int wait();

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
};

// To its end, with `input`. io when it fails, naming the words.
Result<> run_program(const std::vector<std::string>& words, const std::string& input = {});

// A TCP connection to this machine; -1 when nobody listens.
int dial(std::uint16_t port);
// Waits until somebody listens; timed_out.
Result<> wait_for_port(std::uint16_t port);
// Free now, in all likelihood still free a moment later.
std::uint16_t free_port();

// Memory of a process and of those it began, in MiB: what they do not share with others.
double memory_of(pid_t root);

// A grid of one server, and a node with an account "bench" (password "secret", and `public_key`
// when it is not empty) whose root holds the directory `many` with `entries` small files.
class BenchNode {
 public:
  BenchNode(std::filesystem::path work, unsigned entries);
  ~BenchNode();

  Result<> start(const std::string& public_key);
  // Words that run a command of this program on the node.
  std::vector<std::string> lafs(std::vector<std::string> words) const;
  const std::filesystem::path& path() const { return node_; }
  // The same small files, for the rival to serve.
  const std::filesystem::path& many() const { return many_; }

 private:
  std::filesystem::path work_, node_, many_;
  unsigned entries_;
  std::string self_;
  bool started_ = false;
};

// Ours first, then the rival when there is one. `work` is done three times by each in turn, each
// time once both servers are at rest (`servers` are their processes); medians count.
class Rivals {
 public:
  void add(pid_t server) { servers_.push_back(server); }
  std::size_t sides() const { return servers_.size(); }
  Result<> compare(const std::string& name, const std::string& unit, double amount,
                   const std::function<Result<>(std::size_t side, int round)>& work);
  // A figure that is smaller when it is better: the ratio is the rival's by ours.
  void compare_cost(const std::string& name, const std::string& unit,
                    const std::vector<double>& of_sides);
  std::vector<cli::Figure> figures() const { return figures_; }

 private:
  void wait_for_rest() const;

  std::vector<pid_t> servers_;
  std::vector<cli::Figure> figures_;
};

// What `measure` finds in a new folder on the disk of `directory` (empty: where temporary files
// are), printed. The folder is gone afterwards.
Result<cli::Exit> print_rivals(
    const std::string& directory, bool json,
    const std::function<Result<std::vector<cli::Figure>>(const std::filesystem::path&)>& measure);

}  // namespace lafs
