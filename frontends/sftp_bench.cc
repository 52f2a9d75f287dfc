// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp_bench.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <optional>

#include "frontends/bench_rivals.h"
#include "frontends/cli/output.h"
#include "grid/base/log.h"
#include "grid/crypto/random.h"

namespace lafs {

namespace {

namespace stdfs = std::filesystem;
using cli::Exit;

constexpr std::size_t small_size = 4096;
constexpr const char* sshd_program = "/usr/sbin/sshd";
constexpr int mounting_tries = 200;

struct Options {
  std::string directory;
  std::string cipher = "aes128-gcm@openssh.com";
  std::uint64_t megabytes = 512;
  unsigned files = 500, entries = 10'000;
  bool json = false;
};

struct Side {
  std::string user;
  std::uint16_t port = 0;
  std::string folder;  // below which the work is done; ends with a slash
  std::string many;    // the large directory
};

class Bench {
 public:
  Bench(Options options, stdfs::path work)
      : options_(std::move(options)), work_(std::move(work)), node_(work_, options_.entries) {}

  Result<std::vector<cli::Figure>> measure() {
    TRY_DO(prepare());
    TRY_DO(start_ours());
    TRY_DO(start_sshd());
    const double bulk = static_cast<double>(options_.megabytes) * 1.048576;
    TRY_DO(rivals_.compare("sftp put", "MB/s", bulk, [&](std::size_t side, int) {
      return sftp(side, "put " + (work_ / "big").string() + " " + sides_[side].folder + "big");
    }));
    TRY_DO(rivals_.compare("sftp get", "MB/s", bulk, [&](std::size_t side, int) {
      return sftp(side, "get " + sides_[side].folder + "big /dev/null");
    }));
    TRY_DO(rivals_.compare(
        "sftp list " + std::to_string(options_.entries), "1/s", options_.entries,
        [&](std::size_t side, int) { return sftp(side, "ls -1f " + sides_[side].many); }));
    TRY_DO(measure_sshfs());
    return rivals_.figures();
  }

 private:
  Result<> prepare() {
    std::ofstream big(work_ / "big", std::ios::binary);
    const auto block = grid::random_bytes(1 << 20);
    for (std::uint64_t i = 0; i < options_.megabytes; ++i)
      big.write(reinterpret_cast<const char*>(block.data()),
                static_cast<std::streamsize>(block.size()));
    if (!big.flush()) return fail(Errc::no_space, work_.string());
    return run_program(
        {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (work_ / "key").string()});
  }

  Result<> start_ours() {
    TRY_DO(node_.start((work_ / "key.pub").string()));
    ours_.emplace(node_.lafs({"serve", "sftp", "--addr", "127.0.0.1:0"}));
    const auto said = ours_->line();
    const auto colon = said.rfind(':');
    if (!said.starts_with("serving SFTP on") || colon == said.npos)
      return fail(Errc::io, "lafs serve sftp did not start");
    Side side{.user = "bench", .folder = "/", .many = "/many"};
    side.port = static_cast<std::uint16_t>(std::atoi(said.c_str() + colon + 1));
    sides_.push_back(side);
    rivals_.add(ours_->pid());
    return {};
  }

  Result<> start_sshd() {
    if (::access(sshd_program, X_OK) != 0) {
      log::warning("sshd is not installed: our own figures only");
      return {};
    }
    const auto* me = ::getpwuid(::getuid());
    if (!me) return fail(Errc::internal, "this user has no name");
    if (::geteuid() == 0) ::mkdir("/run/sshd", 0755);  // where it locks itself in
    const auto port = free_port();
    TRY_DO(run_program(
        {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", (work_ / "host_key").string()}));
    std::ofstream(work_ / "sshd_config")
        << "ListenAddress 127.0.0.1\nPort " << port << "\nHostKey " << (work_ / "host_key").string()
        << "\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
           "PasswordAuthentication no\nAuthorizedKeysFile "
        << (work_ / "key.pub").string() << "\nSubsystem sftp /usr/lib/openssh/sftp-server\n";
    sshd_.emplace(
        std::vector<std::string>{sshd_program, "-D", "-f", (work_ / "sshd_config").string()});
    TRY_DO(wait_for_port(port));
    stdfs::create_directory(work_ / "sshd");
    sides_.push_back({me->pw_name, port, (work_ / "sshd").string() + "/", node_.many().string()});
    rivals_.add(sshd_->pid());
    return {};
  }

  std::vector<std::string> ssh_options(const Side& side) const {
    std::vector<std::string> out;
    for (const auto& option :
         {std::string("BatchMode=yes"), std::string("StrictHostKeyChecking=no"),
          std::string("UserKnownHostsFile=/dev/null"), std::string("LogLevel=ERROR"),
          "Ciphers=" + options_.cipher, "Port=" + std::to_string(side.port),
          "IdentityFile=" + (work_ / "key").string(), std::string("IdentitiesOnly=yes")})
      out.insert(out.end(), {"-o", option});
    return out;
  }

  Result<> sftp(std::size_t side, const std::string& batch) {
    std::vector<std::string> words = {"sftp", "-F", "/dev/null"};
    const auto options = ssh_options(sides_[side]);
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"-b", "-", sides_[side].user + "@127.0.0.1"});
    return run_program(words, batch + "\n");
  }

  Result<> create_files(const stdfs::path& directory) const {
    const auto bytes = grid::random_bytes(small_size);
    for (unsigned i = 0; i < options_.files; ++i) {
      const auto file = directory / ("f" + std::to_string(i));
      const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      const bool written =
          fd >= 0 && ::write(fd, bytes.data(), small_size) == static_cast<ssize_t>(small_size);
      if (fd < 0 || ::close(fd) != 0 || !written)
        return fail(Errc::io, "cannot write " + file.string());
    }
    return {};
  }

  // One mount for each server; they stay until all rounds are through.
  Result<> measure_sshfs() {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || !run_program({"sshfs", "--version"})) {
      log::warning("sshfs is not installed, or there is no /dev/fuse: left out");
      return {};
    }
    std::vector<stdfs::path> mounts;
    Result<> outcome;
    for (std::size_t side = 0; side < sides_.size() && outcome; ++side) {
      mounts.push_back(work_ / ("mount" + std::to_string(side)));
      outcome = mount(sides_[side], mounts.back());
    }
    if (outcome)
      outcome = rivals_.compare("sshfs, new files of 4 KiB", "1/s", options_.files,
                                [&](std::size_t side, int round) -> Result<> {
                                  const auto folder = mounts[side] / std::to_string(round);
                                  if (::mkdir(folder.c_str(), 0755) != 0)
                                    return fail(Errc::io, folder.string());
                                  return create_files(folder);
                                });
    for (const auto& at : mounts) (void)run_program({"fusermount3", "-u", "-z", at.string()});
    return outcome;
  }

  Result<> mount(const Side& side, const stdfs::path& at) {
    stdfs::create_directory(at);
    struct stat before{}, now{};
    ::stat(at.c_str(), &before);
    std::vector<std::string> words = {"sshfs"};
    auto options = ssh_options(side);
    options.insert(options.end(), {"-F", "/dev/null"});
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {side.user + "@127.0.0.1:" + side.folder, at.string()});
    TRY_DO(run_program(words));
    for (int i = 0; i < mounting_tries; ++i) {
      if (::stat(at.c_str(), &now) == 0 && now.st_dev != before.st_dev) return {};
      ::usleep(50'000);
    }
    return fail(Errc::timed_out, "sshfs did not mount " + at.string());
  }

  Options options_;
  stdfs::path work_;
  BenchNode node_;
  std::optional<Child> ours_, sshd_;  // end before the grid does
  std::vector<Side> sides_;
  Rivals rivals_;
};

Result<Exit> bench_sftp(const Options& options) {
  return print_rivals(options.directory, options.json, [&](const stdfs::path& work) {
    Bench bench(options, work);
    return bench.measure();
  });
}

}  // namespace

void add_sftp_bench(cli::Commands& commands) {
  auto* command = commands.add(
      "bench sftp", "Measure the SFTP server beside sshd (with sftp and sshfs as clients)");
  auto options = std::make_shared<Options>();
  command->add_option("--dir", options->directory, "On which disk")->type_name("DIR");
  command->add_option("--cipher", options->cipher, "Of both")->capture_default_str();
  command->add_option("--size", options->megabytes, "MiB of the large file")->capture_default_str();
  command->add_option("--files", options->files, "New files of 4 KiB")->capture_default_str();
  command->add_option("--entries", options->entries, "Of the large directory")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on(command, [options] { return bench_sftp(*options); });
}

}  // namespace lafs
