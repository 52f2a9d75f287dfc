// SPDX-License-Identifier: Apache-2.0
#include "frontends/bench_rivals.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <utility>

#include "frontends/cli/output.h"
#include "grid/crypto/random.h"

namespace lafs {

namespace {

namespace stdfs = std::filesystem;

constexpr int rounds = 3;
constexpr std::size_t small_size = 40;  // travels within its directory
constexpr auto pause = std::chrono::milliseconds(200);
constexpr int most_pauses = 150;
// Of a pause, in clock ticks of 10 ms: what a server at rest may use.
constexpr long at_rest = 1;

void sleep_a_pause() {
  ::usleep(static_cast<useconds_t>(std::chrono::microseconds(pause).count()));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

struct ProcessFacts {
  pid_t parent = 0;
  long ticks = 0;
};

ProcessFacts facts_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto behind_name = text.rfind(')');
  if (behind_name == text.npos) return {};
  std::istringstream fields(text.substr(behind_name + 1));
  std::string state, skipped;
  ProcessFacts out;
  long user = 0, system = 0;
  fields >> state >> out.parent;
  for (int i = 0; i < 9; ++i) fields >> skipped;
  fields >> user >> system;
  out.ticks = user + system;
  return out;
}

std::vector<pid_t> processes() {
  std::vector<pid_t> out;
  std::error_code error;
  for (const auto& entry : stdfs::directory_iterator("/proc", error)) {
    const auto name = entry.path().filename().string();
    if (std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; }))
      out.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return out;
}

// MiB that are this process's alone.
double private_memory(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  double kib = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Private_")) kib += std::stod(line.substr(line.find(':') + 1));
  }
  return kib / 1024;
}

}  // namespace

Child::Child(const std::vector<std::string>& words) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    const int nothing = ::open("/dev/null", O_WRONLY);
    ::dup2(nothing, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
}

Child::~Child() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  wait();
  if (in_ >= 0) ::close(in_);
  if (out_ >= 0) ::close(out_);
}

std::string Child::line() {
  std::string out;
  char c = 0;
  while (::read(out_, &c, 1) == 1 && c != '\n') out += c;
  return out;
}

void Child::give_input(const std::string& text) {
  for (std::string_view rest = text; !rest.empty();) {
    const auto n = ::write(in_, rest.data(), rest.size());
    if (n <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  ::close(std::exchange(in_, -1));
}

void Child::drop_output() {
  std::vector<char> buffer(64 * 1024);
  while (::read(out_, buffer.data(), buffer.size()) > 0) continue;
}

int Child::wait() {
  int status = -1;
  if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

Result<> run_program(const std::vector<std::string>& words, const std::string& input) {
  Child child(words);
  child.give_input(input);
  child.drop_output();
  const int status = child.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string text;
  for (const auto& word : words) text += word + " ";
  return fail(Errc::io, "failed: " + text);
}

int dial(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto at = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return fd;
  ::close(fd);
  return -1;
}

Result<> wait_for_port(std::uint16_t port) {
  for (int i = 0; i < most_pauses; ++i) {
    if (const int fd = dial(port); fd >= 0) {
      ::close(fd);
      return {};
    }
    sleep_a_pause();
  }
  return fail(Errc::timed_out, "nobody listens on port " + std::to_string(port));
}

std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto at = loopback(0);
  socklen_t size = sizeof at;
  ::bind(probe, reinterpret_cast<sockaddr*>(&at), size);
  ::getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(probe);
  return ntohs(at.sin_port);
}

double memory_of(pid_t root) {
  double out = private_memory(root);
  for (const auto pid : processes()) {
    if (pid != root && facts_of(pid).parent == root) out += memory_of(pid);
  }
  return out;
}

BenchNode::BenchNode(stdfs::path work, unsigned entries)
    : work_(std::move(work)), node_(work_ / "node"), many_(work_ / "many"), entries_(entries) {}

BenchNode::~BenchNode() {
  if (started_) (void)run_program({self_, "grid", "stop", "--dir", (work_ / "grid").string()});
}

std::vector<std::string> BenchNode::lafs(std::vector<std::string> words) const {
  words.insert(words.begin(), {self_, "--node", node_.string()});
  return words;
}

// One server and one share: what is measured is the file server and the journal, not erasure
// coding.
Result<> BenchNode::start(const std::string& public_key) {
  self_ = stdfs::read_symlink("/proc/self/exe").string();
  const auto grid = work_ / "grid";
  TRY_DO(run_program({self_, "grid", "start", "--servers", "1", "--dir", grid.string()}));
  started_ = true;
  TRY_DO(run_program(
      lafs({"create-node", "--grid", (grid / "servers.yaml").string(), "--shares", "1,1,1"})));
  std::vector<std::string> account = {"accounts", "add", "bench", "--password-stdin"};
  if (!public_key.empty()) account.insert(account.end(), {"--key", public_key});
  TRY_DO(run_program(lafs(account), "secret\n"));
  stdfs::create_directory(many_);
  for (unsigned i = 0; i < entries_; ++i) {
    std::ofstream file(many_ / ("entry" + std::to_string(i)), std::ios::binary);
    const auto bytes = grid::random_bytes(small_size);
    file.write(reinterpret_cast<const char*>(bytes.data()), small_size);
  }
  return run_program(lafs({"cp", "-r", many_.string(), "tahoe:"}));
}

// What one round left to do (bringing it to the grid, say) is not to be paid by the next.
void Rivals::wait_for_rest() const {
  for (const auto server : servers_) {
    long before = facts_of(server).ticks;
    for (int i = 0, quiet = 0; i < most_pauses && quiet < 2; ++i) {
      sleep_a_pause();
      const long now = facts_of(server).ticks;
      quiet = now - before <= at_rest ? quiet + 1 : 0;
      before = now;
    }
  }
}

Result<> Rivals::compare(const std::string& name, const std::string& unit, double amount,
                         const std::function<Result<>(std::size_t, int)>& work) {
  std::vector<std::vector<double>> times(sides());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t side = 0; side < sides(); ++side) {
      wait_for_rest();
      const auto begin = std::chrono::steady_clock::now();
      auto done = work(side, round);
      if (!done) return annotate(std::move(done.error()), name);
      times[side].push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
  }
  std::vector<double> rates;
  for (auto& of_side : times) {
    std::ranges::sort(of_side);
    rates.push_back(amount / of_side[of_side.size() / 2]);
  }
  cli::Figure figure{name, rates[0], unit};
  figures_.push_back(rates.size() > 1 ? cli::against(figure, rates[1]) : figure);
  return {};
}

void Rivals::compare_cost(const std::string& name, const std::string& unit,
                          const std::vector<double>& of_sides) {
  cli::Figure figure{name, of_sides[0], unit};
  if (of_sides.size() > 1) {
    figure.limit = of_sides[1];
    if (of_sides[0] > 0) figure.ratio = of_sides[1] / of_sides[0];
  }
  figures_.push_back(figure);
}

Result<cli::Exit> print_rivals(
    const std::string& directory, bool json,
    const std::function<Result<std::vector<cli::Figure>>(const std::filesystem::path&)>& measure) {
  const auto disk =
      stdfs::absolute(directory.empty() ? stdfs::temp_directory_path() : stdfs::path(directory));
  auto pattern = (disk / "lafs-bench-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) return fail(Errc::io, "cannot make " + pattern);
  auto figures = measure(pattern);
  std::error_code ignored;
  stdfs::remove_all(pattern, ignored);
  if (!figures) return std::unexpected(std::move(figures.error()));
  cli::print(json ? cli::figures_json(*figures) + "\n" : cli::figures_table(*figures));
  return cli::Exit::ok;
}

}  // namespace lafs
