// SPDX-License-Identifier: Apache-2.0
// conformance_paths DIR [--list] [--only NAME]... [--not NAME]...: runs the conformance list in
// DIR. NAME is a rule, or the beginning of several ("rename/"). Prints one line for each rule and a
// count. Exit codes: 0 all passed, 1 some failed, 2 usage, 77 nothing could be run.
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "tests/conformance/sys.h"

namespace conformance {

std::vector<Rule> all_rules() {
  std::vector<Rule> all;
  for (auto* part :
       {name_rules, directory_rules, file_rules, content_rules, attribute_rules, rename_rules,
        permission_rules, program_rules, lock_rules, range_rules, error_rules}) {
    for (auto& rule : part()) all.push_back(std::move(rule));
  }
  return all;
}

}  // namespace conformance

namespace {

using namespace conformance;

struct Count {
  int passed = 0, failed = 0, skipped = 0;
};

void run(const Rule& rule, const std::string& root, Count& count) {
  std::string directory = root + "/" + rule.name;
  for (auto& c : directory) c = c == '/' && &c > &directory[root.size()] ? '-' : c;
  const auto start = std::chrono::steady_clock::now();
  std::string result = "ok", detail;
  try {
    MUST(::mkdir(directory.c_str(), 0755) == 0);
    rule.check(directory);
    ++count.passed;
  } catch (const Failure& failure) {
    ++count.failed;
    result = "FAIL";
    detail = failure.what;
  } catch (const Skipped& skipped) {
    ++count.skipped;
    result = "skip";
    detail = skipped.why;
  } catch (const std::exception& e) {
    ++count.failed;
    result = "FAIL";
    detail = e.what();
  }
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error && result != "FAIL") {
    --(result == "ok" ? count.passed : count.skipped);
    ++count.failed;
    result = "FAIL";
    detail = "cannot remove what the rule made: " + error.message();
  }
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  std::printf("%-4s %-36s %5lld ms  %s\n", result.c_str(), rule.name.c_str(),
              static_cast<long long>(ms.count()), detail.c_str());
  std::fflush(stdout);
}

bool selects(const std::vector<std::string>& patterns, const std::string& name) {
  for (const auto& pattern : patterns) {
    if (name.starts_with(pattern)) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  std::string root;
  std::vector<std::string> only, leave_out;
  bool list = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--list") {
      list = true;
    } else if (word == "--only" && i + 1 < argc) {
      only.emplace_back(argv[++i]);
    } else if (word == "--not" && i + 1 < argc) {
      leave_out.emplace_back(argv[++i]);
    } else {
      root = word;
    }
  }
  if (list) {
    for (const auto& rule : all_rules()) std::puts(rule.name.c_str());
    return 0;
  }
  if (root.empty()) {
    std::fprintf(stderr, "usage: conformance_paths DIR [--list] [--only NAME] [--not NAME]\n");
    return 2;
  }
  ::umask(022);
  root = std::filesystem::canonical(root).string();
  Count count;
  for (const auto& rule : all_rules()) {
    if (!only.empty() && !selects(only, rule.name)) continue;
    if (selects(leave_out, rule.name)) continue;
    run(rule, root, count);
  }
  std::printf("%d passed, %d failed, %d skipped\n", count.passed, count.failed, count.skipped);
  if (count.failed) return 1;
  return count.passed ? 0 : 77;
}
