// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp_bench.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "frontends/cli/bench/figures.h"
#include "frontends/cli/output.h"
#include "grid/crypto/random.h"

namespace lafs {

namespace {

namespace stdfs = std::filesystem;
using cli::Exit;
using cli::Figure;

constexpr std::size_t small_size = 4096;
constexpr int rounds = 3;

struct Options {
  std::string directory;
  std::uint64_t megabytes = 512;
  unsigned files = 1000, entries = 10'000;
  bool json = false;
};

// A process that ends with this object. Its standard output can be read by the line.
class Child {
 public:
  explicit Child(const std::vector<std::string>& words) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      const int nothing = ::open("/dev/null", O_WRONLY);
      ::dup2(nothing, STDERR_FILENO);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Child() {
    if (pid_ > 0) ::kill(pid_, SIGTERM);
    wait();
    if (out_ >= 0) ::close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::string line() {
    std::string out;
    char c = 0;
    while (::read(out_, &c, 1) == 1 && c != '\n') out += c;
    return out;
  }
  int wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

Result<> run(const std::vector<std::string>& words) {
  Child child(words);
  while (!child.line().empty()) continue;
  const int status = child.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string text;
  for (const auto& word : words) text += word + " ";
  return fail(Errc::io, "failed: " + text);
}

int dial(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0) return fd;
  ::close(fd);
  return -1;
}

// The least client there is: what it takes is the server's time.
class Talk {
 public:
  Talk(std::uint16_t port, const std::string& user, const std::string& password) : fd_(dial(port)) {
    reply();
    say("USER " + user);
    say("PASS " + password);
  }
  ~Talk() {
    if (fd_ >= 0) ::close(fd_);
  }
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  int say(std::string words) {
    words += "\r\n";
    if (::send(fd_, words.data(), words.size(), MSG_NOSIGNAL) < 0) return 0;
    return reply();
  }
  // Bytes of a listing.
  Result<std::uint64_t> list(const std::string& words) {
    if (say("EPSV") != 229) return fail(Errc::protocol, "EPSV: " + last_);
    const auto mark = last_.find("|||");
    const int data = dial(static_cast<std::uint16_t>(std::atoi(last_.c_str() + mark + 3)));
    const int code = say(words);
    std::uint64_t bytes = 0;
    std::vector<char> buffer(1 << 18);
    for (;;) {
      const auto n = ::read(data, buffer.data(), buffer.size());
      if (n <= 0) break;
      bytes += static_cast<std::uint64_t>(n);
    }
    ::close(data);
    if (code != 150 || reply() != 226) return fail(Errc::protocol, words + ": " + last_);
    return bytes;
  }

 private:
  int reply() {
    for (;;) {
      const auto end = input_.find('\n');
      if (end != input_.npos) {
        last_ = input_.substr(0, end);
        input_.erase(0, end + 1);
        if (last_.size() > 3 && last_[3] == ' ' && last_[0] != ' ') return std::atoi(last_.c_str());
        continue;
      }
      char buffer[4096];
      const auto n = ::read(fd_, buffer, sizeof buffer);
      if (n <= 0) return 0;
      input_.append(buffer, static_cast<std::size_t>(n));
    }
  }

  int fd_;
  std::string input_, last_;
};

struct Side {
  std::string name, user, password;
  std::uint16_t port = 0;
  std::string folder;   // below the login's directory; ends with a slash when there is one
  std::string listing;  // the command for a big directory
};

double seconds_of(const std::function<Result<>()>& work, Result<>& outcome) {
  const auto begin = std::chrono::steady_clock::now();
  auto done = work();
  if (!done && outcome) outcome = std::move(done);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Bench {
 public:
  explicit Bench(Options options) : options_(std::move(options)) {}

  Result<std::vector<Figure>> measure(const stdfs::path& work) {
    work_ = work;
    TRY_DO(prepare());
    TRY_DO(start_ours());
    TRY_DO(start_vsftpd());
    const double bulk = static_cast<double>(options_.megabytes) * 1.048576;
    for (const bool tls : {false, true}) {
      const std::string how = tls ? " TLS" : " plain";
      TRY_DO(compare("ftp put" + how, "MB/s", bulk,
                     [&](const Side& side, int) { return put(side, tls); }));
      TRY_DO(compare("ftp get" + how, "MB/s", bulk,
                     [&](const Side& side, int) { return get(side, tls); }));
    }
    TRY_DO(compare("ftp mirror, files of 4 KiB, 8 at a time", "1/s", options_.files,
                   [&](const Side& side, int round) { return mirror(side, round); }));
    TRY_DO(fill_directories());
    TRY_DO(compare("ftp list " + std::to_string(options_.entries) + " (MLSD; vsftpd: LIST)", "1/s",
                   options_.entries, [&](const Side& side, int) -> Result<> {
                     Talk talk(side.port, side.user, side.password);
                     TRY(bytes, talk.list(side.listing));
                     if (bytes < options_.entries * 10)
                       return fail(Errc::protocol, "short listing");
                     return {};
                   }));
    return std::move(figures_);
  }

 private:
  Result<> compare(const std::string& name, const std::string& unit, double amount,
                   const std::function<Result<>(const Side&, int)>& work) {
    std::vector<std::vector<double>> times(sides_.size());
    Result<> outcome;
    for (int round = 0; round < rounds && outcome; ++round)
      for (std::size_t i = 0; i < sides_.size(); ++i)
        times[i].push_back(seconds_of([&] { return work(sides_[i], round); }, outcome));
    if (!outcome) return annotate(std::move(outcome.error()), name);
    std::vector<double> rates;
    for (auto& of_side : times) {
      std::ranges::sort(of_side);
      rates.push_back(amount / of_side[of_side.size() / 2]);
    }
    Figure figure{name, rates[0], unit};
    figures_.push_back(rates.size() > 1 ? cli::against(figure, rates[1]) : figure);
    return {};
  }

  Result<> prepare() {
    std::ofstream big(work_ / "big", std::ios::binary);
    const auto block = grid::random_bytes(1 << 20);
    for (std::uint64_t i = 0; i < options_.megabytes; ++i)
      big.write(reinterpret_cast<const char*>(block.data()),
                static_cast<std::streamsize>(block.size()));
    stdfs::create_directory(work_ / "tree");
    for (unsigned i = 0; i < options_.files; ++i) {
      std::ofstream file(work_ / "tree" / ("f" + std::to_string(i)), std::ios::binary);
      const auto bytes = grid::random_bytes(small_size);
      file.write(reinterpret_cast<const char*>(bytes.data()), small_size);
    }
    if (!big.flush()) return fail(Errc::no_space, work_.string());
    return {};
  }

  // One server and one share: what is measured is FTP and the journal, not erasure coding.
  Result<> start_ours() {
    const auto self = stdfs::read_symlink("/proc/self/exe").string();
    const auto grid = work_ / "grid", node = work_ / "node";
    grid_ = {self, "grid", "stop", "--dir", grid.string()};
    TRY_DO(run({self, "grid", "start", "--servers", "1", "--dir", grid.string()}));
    TRY_DO(run({self, "--node", node.string(), "create-node", "--grid",
                (grid / "servers.yaml").string(), "--shares", "1,1,1"}));
    const auto accounts = node / "private" / "accounts";
    std::ofstream(accounts) << "bench secret tahoe:\n";
    stdfs::permissions(accounts, stdfs::perms::owner_read | stdfs::perms::owner_write);
    ours_.emplace(std::vector<std::string>{self, "--node", node.string(), "serve", "ftp", "--addr",
                                           "127.0.0.1:0"});
    const auto said = ours_->line();
    const auto colon = said.rfind(':');
    if (!said.starts_with("ftp server on") || colon == said.npos)
      return fail(Errc::io, "lafs serve ftp did not start");
    Side side{"lafs", "bench", "secret"};
    side.port = static_cast<std::uint16_t>(std::atoi(said.c_str() + colon + 1));
    side.listing = "MLSD many";
    sides_.push_back(side);
    return {};
  }

  Result<> start_vsftpd() {
    if (::access("/usr/sbin/vsftpd", X_OK) != 0 || ::geteuid() != 0) {
      cli::print("vsftpd is not installed, or this is not root: our own figures only\n");
      return {};
    }
    const auto root = work_ / "vsftpd";
    stdfs::create_directories(root / "w");
    stdfs::create_directories(work_ / "empty");
    stdfs::permissions(work_, stdfs::perms(0755));
    stdfs::permissions(root / "w", stdfs::perms(0777));
    Side side{"vsftpd", "anonymous", "x"};
    // A free port, in all likelihood still free a moment later.
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ::bind(probe, reinterpret_cast<sockaddr*>(&at), size);
    ::getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size);
    ::close(probe);
    side.port = ntohs(at.sin_port);
    side.folder = "w/";
    side.listing = "LIST w/many";
    const auto certificate = (work_ / "node" / "private" / "ftp.pem").string();
    std::ofstream(work_ / "vsftpd.conf")
        << "listen=YES\nlisten_address=127.0.0.1\nlisten_port=" << side.port
        << "\nbackground=NO\nseccomp_sandbox=NO\nanonymous_enable=YES\nno_anon_password=YES\n"
           "ftp_username=ftp\nanon_root="
        << root.string() << "\nsecure_chroot_dir=" << (work_ / "empty").string()
        << "\nwrite_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n"
           "anon_other_write_enable=YES\nanon_umask=022\nanon_world_readable_only=NO\n"
           "xferlog_enable=NO\nssl_enable=YES\nallow_anon_ssl=YES\nforce_local_data_ssl=NO\n"
           "force_local_logins_ssl=NO\nrequire_ssl_reuse=NO\nssl_ciphers=HIGH\nrsa_cert_file="
        << certificate << "\nrsa_private_key_file=" << certificate << "\n";
    vsftpd_.emplace(std::vector<std::string>{"/usr/sbin/vsftpd", (work_ / "vsftpd.conf").string()});
    for (int i = 0; i < 100; ++i) {
      if (const int fd = dial(side.port); fd >= 0) {
        ::close(fd);
        sides_.push_back(side);
        return {};
      }
      ::usleep(50'000);
    }
    return fail(Errc::io, "vsftpd did not start");
  }

  std::vector<std::string> curl(const Side& side, bool tls) const {
    std::vector<std::string> out = {"curl", "-sS", "-u", side.user + ":" + side.password};
    if (tls) out.insert(out.end(), {"-k", "--ssl-reqd"});
    return out;
  }
  std::string url(const Side& side, const std::string& path) const {
    return "ftp://127.0.0.1:" + std::to_string(side.port) + "/" + side.folder + path;
  }
  Result<> put(const Side& side, bool tls) {
    auto words = curl(side, tls);
    words.insert(words.end(), {"-T", (work_ / "big").string(), url(side, "big")});
    return run(words);
  }
  Result<> get(const Side& side, bool tls) {
    auto words = curl(side, tls);
    words.insert(words.end(), {"-o", "/dev/null", url(side, "big")});
    return run(words);
  }
  Result<> mirror(const Side& side, int round) {
    const auto target = side.folder + "tree" + std::to_string(round);
    return run({"lftp", "-c",
                "set ftp:ssl-allow no; set cmd:fail-exit yes; set net:max-retries 1; open -u " +
                    side.user + "," + side.password + " -p " + std::to_string(side.port) +
                    " 127.0.0.1; mirror -R --parallel=8 " + (work_ / "tree").string() + " " +
                    target});
  }
  Result<> fill_directories() {
    for (const auto& side : sides_) {
      Talk talk(side.port, side.user, side.password);
      talk.say("MKD " + side.folder + "many");
      if (side.name == "vsftpd") {
        const auto many = work_ / "vsftpd" / "w" / "many";
        stdfs::permissions(many, stdfs::perms(0777));
        for (unsigned i = 0; i < options_.entries; ++i)
          stdfs::copy_file(work_ / "tree" / "f0", many / ("entry" + std::to_string(i)));
        continue;
      }
      for (unsigned i = 0; i < options_.entries; ++i)
        if (talk.say("SITE COPY tree0/f0 many/entry" + std::to_string(i)) != 250)
          return fail(Errc::protocol, "SITE COPY");
    }
    return {};
  }

 public:
  ~Bench() {
    ours_.reset();
    vsftpd_.reset();
    if (!grid_.empty()) (void)run(grid_);
  }

 private:
  Options options_;
  stdfs::path work_;
  std::optional<Child> ours_, vsftpd_;
  std::vector<std::string> grid_;
  std::vector<Side> sides_;
  std::vector<Figure> figures_;
};

Result<Exit> bench_ftp(const Options& options) {
  auto directory = options.directory.empty() ? stdfs::temp_directory_path() / "lafs-ftp-XXXXXX"
                                             : stdfs::path(options.directory) / "lafs-ftp-XXXXXX";
  auto pattern = directory.string();
  if (!::mkdtemp(pattern.data())) return fail(Errc::io, "cannot make " + pattern);
  Result<std::vector<Figure>> figures;
  {
    Bench bench(options);
    figures = bench.measure(pattern);
  }
  std::error_code ignored;
  stdfs::remove_all(pattern, ignored);
  if (!figures) return std::unexpected(std::move(figures.error()));
  cli::print(options.json ? cli::figures_json(*figures) + "\n" : cli::figures_table(*figures));
  return Exit::ok;
}

}  // namespace

void add_ftp_bench(cli::Commands& commands) {
  auto* command = commands.add(
      "bench ftp", "Measure the FTP server beside vsftpd (with curl and lftp as clients)");
  auto options = std::make_shared<Options>();
  command->add_option("--dir", options->directory, "On which disk")->type_name("DIR");
  command->add_option("--size", options->megabytes, "MiB of the large file")->capture_default_str();
  command->add_option("--files", options->files, "Small files")->capture_default_str();
  command->add_option("--entries", options->entries, "Of the large directory")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON object");
  commands.on(command, [options] { return bench_ftp(*options); });
}

}  // namespace lafs
