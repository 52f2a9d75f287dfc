// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp_bench.h"

#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <list>
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
constexpr unsigned idle_sessions = 500;

struct Options {
  std::string directory;
  std::uint64_t megabytes = 512;
  unsigned files = 1000, entries = 10'000;
  bool json = false;
};

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
  std::string folder = {};   // below the login's directory; ends with a slash when there is one
  std::string listing = {};  // the command for a big directory
};

class Bench {
 public:
  Bench(Options options, stdfs::path work)
      : options_(std::move(options)), work_(std::move(work)), node_(work_, options_.entries) {}

  Result<std::vector<cli::Figure>> measure() {
    TRY_DO(prepare());
    TRY_DO(start_ours());
    TRY_DO(start_vsftpd());
    measure_memory();  // before they have done anything else
    const double bulk = static_cast<double>(options_.megabytes) * 1.048576;
    for (const bool tls : {false, true}) {
      const std::string how = tls ? " TLS" : " plain";
      TRY_DO(rivals_.compare("ftp put" + how, "MB/s", bulk,
                             [&](std::size_t side, int) { return put(sides_[side], tls); }));
      TRY_DO(rivals_.compare("ftp get" + how, "MB/s", bulk,
                             [&](std::size_t side, int) { return get(sides_[side], tls); }));
    }
    TRY_DO(
        rivals_.compare("ftp mirror, files of 4 KiB, 8 at a time", "1/s", options_.files,
                        [&](std::size_t side, int round) { return mirror(sides_[side], round); }));
    TRY_DO(rivals_.compare("ftp list " + std::to_string(options_.entries) + " (MLSD; vsftpd: LIST)",
                           "1/s", options_.entries,
                           [&](std::size_t side, int) { return list(sides_[side]); }));
    return rivals_.figures();
  }

 private:
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

  Result<> start_ours() {
    TRY_DO(node_.start({}));
    // Below a directory, as for vsftpd: some clients do it quite differently without one.
    TRY_DO(run_program(node_.lafs({"mkdir", "tahoe:w"})));
    const auto most = std::to_string(2 * idle_sessions);
    ours_.emplace(node_.lafs({"serve", "ftp", "--addr", "127.0.0.1:0", "--max-sessions", most,
                              "--max-per-address", most}));
    const auto said = ours_->line();
    const auto colon = said.rfind(':');
    if (!said.starts_with("ftp server on") || colon == said.npos)
      return fail(Errc::io, "lafs serve ftp did not start");
    Side side{"lafs", "bench", "secret"};
    side.port = static_cast<std::uint16_t>(std::atoi(said.c_str() + colon + 1));
    side.folder = "w/";
    side.listing = "MLSD many";
    sides_.push_back(side);
    rivals_.add(ours_->pid());
    return {};
  }

  Result<> start_vsftpd() {
    if (::access("/usr/sbin/vsftpd", X_OK) != 0 || ::geteuid() != 0) {
      log::warning("vsftpd is not installed, or this is not root: our own figures only");
      return {};
    }
    const auto root = work_ / "vsftpd";
    stdfs::create_directories(root / "w");
    stdfs::create_directories(work_ / "empty");
    stdfs::permissions(work_, stdfs::perms(0755));
    stdfs::permissions(root / "w", stdfs::perms(0777));
    Side side{"vsftpd", "anonymous", "x"};
    side.port = free_port();
    side.folder = "w/";
    side.listing = "LIST w/many";
    stdfs::create_directory(root / "w" / "many");
    for (const auto& file : stdfs::directory_iterator(node_.many()))
      stdfs::copy_file(file, root / "w" / "many" / file.path().filename());
    const auto certificate = (node_.path() / "private" / "ftp.pem").string();
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
    TRY_DO(wait_for_port(side.port));
    sides_.push_back(side);
    rivals_.add(vsftpd_->pid());
    return {};
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
    return run_program(words);
  }
  Result<> get(const Side& side, bool tls) {
    auto words = curl(side, tls);
    words.insert(words.end(), {"-o", "/dev/null", url(side, "big")});
    return run_program(words);
  }
  Result<> mirror(const Side& side, int round) {
    const auto target = side.folder + "tree" + std::to_string(round);
    return run_program(
        {"lftp", "-c",
         "set ftp:ssl-allow no; set cmd:fail-exit yes; set net:max-retries 1; open -u " +
             side.user + "," + side.password + " -p " + std::to_string(side.port) +
             " 127.0.0.1; mirror -R --parallel=8 " + (work_ / "tree").string() + " " + target});
  }
  Result<> list(const Side& side) {
    Talk talk(side.port, side.user, side.password);
    TRY(bytes, talk.list(side.listing));
    if (bytes < options_.entries * 10) return fail(Errc::protocol, "short listing");
    return {};
  }

  // What sessions take that have logged in and say nothing.
  void measure_memory() {
    std::vector<double> grown;
    for (std::size_t i = 0; i < sides_.size(); ++i) {
      const auto server = i == 0 ? ours_->pid() : vsftpd_->pid();
      const auto before = memory_of(server);
      std::list<Talk> sessions;
      for (unsigned n = 0; n < idle_sessions; ++n)
        sessions.emplace_back(sides_[i].port, sides_[i].user, sides_[i].password);
      grown.push_back(memory_of(server) - before);
    }
    rivals_.compare_cost("ftp memory of " + std::to_string(idle_sessions) + " idle sessions", "MB",
                         grown);
  }

  Options options_;
  stdfs::path work_;
  BenchNode node_;
  std::optional<Child> ours_, vsftpd_;  // end before the grid does
  std::vector<Side> sides_;
  Rivals rivals_;
};

Result<Exit> bench_ftp(const Options& options) {
  return print_rivals(options.directory, options.json, [&](const stdfs::path& work) {
    Bench bench(options, work);
    return bench.measure();
  });
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
