// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_grid.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "frontends/cli/bench/bench_cpu.h"
#include "frontends/cli/bench/tcp_proxy.h"
#include "grid/crypto/random.h"
#include "grid/immutable/chk_reader.h"
#include "grid/immutable/chk_stream.h"
#include "grid/immutable/uploader.h"
#include "grid/storage/remote_server.h"

namespace lafs::cli {

namespace {

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

double own_cpu() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

double cpu_of(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto end = text.rfind(')');  // of the name, which may hold anything
  if (end == text.npos) return 0;
  std::istringstream rest(text.substr(end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;
  double user = 0, system = 0;
  rest >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Megabytes that were resident at most since forget_peak().
double peak_memory() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) * 1024 / 1e6;
  }
  return 0;
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

Task<Result<>> fill(std::shared_ptr<const Bytes> pattern, std::uint64_t offset, MutableBytes out) {
  for (std::size_t done = 0; done < out.size();) {
    const auto from = (offset + done) % pattern->size();
    const auto part = std::min(out.size() - done, pattern->size() - from);
    std::copy_n(pattern->begin() + static_cast<std::ptrdiff_t>(from), part,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    done += part;
  }
  co_return Result<>{};
}

// Random bytes that repeat after a size that no segment is a multiple of.
grid::Source endless_source(std::uint64_t size) {
  auto pattern = std::make_shared<const Bytes>(grid::random_bytes((4 << 20) + 12345));
  grid::Source source;
  source.size = size;
  source.read = [pattern](std::uint64_t offset, MutableBytes out) {
    return fill(pattern, offset, out);
  };
  return source;
}

// Every block that lies wholly beyond `from` of every share in `folder`.
void damage(const std::filesystem::path& folder, std::uint64_t from) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = entry.file_size(ignored);
    for (auto at = from; at + (64 << 10) < size; at += 64 << 10) {
      file.seekg(static_cast<std::streamoff>(at));
      const auto byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 1));
    }
  }
}

struct Cost {
  double wall = 0, client = 0, servers = 0;  // seconds
};

class GridBench {
 public:
  GridBench(asio::any_io_executor executor, std::vector<BenchMember> members,
            GridBenchOptions options, std::function<void(std::string)> say)
      : executor_(executor),
        members_(std::move(members)),
        options_(options),
        say_(std::move(say)) {}

  Task<Result<std::vector<Figure>>> run() {
    const auto sha = sha256_rate(std::chrono::milliseconds(300));
    CO_TRY_DO(connect());
    say_("waiting for the servers");
    auto outcome = co_await wait_for_servers();
    if (outcome) outcome = co_await measure(sha);
    co_await roster_.close();
    if (!outcome) co_return std::unexpected(std::move(outcome).error());
    co_return std::move(figures_);
  }

 private:
  Result<> connect() {
    for (auto& member : members_) {
      TRY(nurl, grid::storage::Nurl::parse(member.nurl));
      if (options_.through_proxy()) {
        proxies_.push_back(std::make_unique<TcpProxy>(nurl.port, usual_weather()));
        nurl.port = proxies_.back()->port();
      }
      grid::storage::RemoteServer::Options options;
      options.name = member.nickname;
      grid::storage::KnownServer known;
      known.id = member.id;
      known.nickname = member.nickname;
      known.permutation_seed = member.permutation_seed;
      known.lease_seed = member.lease_seed;
      known.server = std::make_shared<grid::storage::RemoteServer>(executor_, nurl, options);
      roster_.add(std::move(known));
    }
    return {};
  }

  Task<Result<>> wait_for_servers() {
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    for (auto& known : roster_.all()) {
      auto version = co_await known.server->version();
      while (!version && Clock::now() < deadline) {
        co_await sleep_for(std::chrono::milliseconds(50));
        version = co_await known.server->version();
      }
      if (!version) co_return std::unexpected(std::move(version).error());
    }
    co_return Result<>{};
  }

  Weather usual_weather() const {
    return {.round_trip = options_.round_trip, .bandwidth = options_.bandwidth};
  }

  Task<Result<>> measure(double sha) {
    CO_TRY(small, co_await store(1024));  // and all connections are up
    CO_TRY_DO(co_await read_small(small));
    say_("upload");
    Cost up;
    forget_peak();
    auto begin = start();
    CO_TRY(cap, co_await store(options_.size));
    up = stop(begin);
    const auto up_memory = peak_memory();
    add_costs("upload", up,
              1e3 / chk_hashing_limit(sha, static_cast<unsigned>(options_.k),
                                      static_cast<unsigned>(options_.n)));
    figures_.push_back({"upload, peak memory of the client", up_memory, "MB"});

    say_("download");
    forget_peak();
    begin = start();
    CO_TRY_DO(co_await read(cap, false));
    const auto down = stop(begin);
    // Every byte is hashed in its block and in its segment.
    add_costs("download", down, 1e3 / (sha / 2));
    figures_.push_back({"download, peak memory of the client", peak_memory(), "MB"});

    const auto bad = options_.bad();
    if (bad > 0) {
      say_("download with bad servers");
      begin = start();
      CO_TRY_DO(co_await read(cap, true));
      const auto hurt = stop(begin);
      figures_.push_back(
          against({fmt::format("download, {} of {} servers go bad", bad, members_.size()),
                   megabytes() / hurt.wall, "MB/s"},
                  megabytes() / down.wall));
      figures_.push_back({"longest wait for a segment", longest_wait_ * 1e3, "ms"});
    }
    co_return Result<>{};
  }

  double megabytes() const { return static_cast<double>(options_.size) / 1e6; }

  struct Start {
    TimePoint at;
    double client, servers;
  };
  double servers_cpu() const {
    double sum = 0;
    for (auto& member : members_) sum += cpu_of(member.pid);
    return sum;
  }
  Start start() const { return {Clock::now(), own_cpu(), servers_cpu()}; }
  Cost stop(const Start& begin) const {
    return {seconds(Clock::now() - begin.at), own_cpu() - begin.client,
            servers_cpu() - begin.servers};
  }

  void add_costs(const std::string& what, const Cost& cost, double hashing_per_gb) {
    const double gigabytes = megabytes() / 1e3;
    const double cores = std::max(1u, std::thread::hardware_concurrency());
    const auto rate = megabytes() / cost.wall;
    // What this machine could do if it never waited, or what the lines to the servers let through.
    auto limit = megabytes() * cores / (cost.client + cost.servers);
    if (options_.bandwidth > 0) {
      const auto lines = static_cast<double>(options_.bandwidth) / 1e6;
      const auto used =
          what == "upload"
              ? static_cast<double>(std::min<std::uint64_t>(options_.n, members_.size()))
              : static_cast<double>(std::min<std::uint64_t>(options_.k, members_.size()));
      const auto spread = what == "upload"
                              ? static_cast<double>(options_.k) / static_cast<double>(options_.n)
                              : 1.0;
      limit = std::min(limit, lines * used * spread);
    }
    figures_.push_back(against({what, rate, "MB/s"}, limit));
    figures_.push_back(
        against({what + ", CPU of the client", cost.client / gigabytes, "s/GB"}, hashing_per_gb));
    figures_.push_back({what + ", CPU of the servers", cost.servers / gigabytes, "s/GB"});
  }

  Task<Result<grid::ChkCap>> store(std::uint64_t size) {
    grid::UploadContext context{
        .roster = roster_,
        .pool = pool_,
        .lease_secret = {},
        .encoding = {.k = options_.k, .happy = options_.happy, .n = options_.n},
        .convergence_secret = {}};
    const auto source = endless_source(size);
    const grid::Key16 key = grid::random_secret<16>();
    CO_TRY(done, co_await grid::upload(std::move(context), source, key));
    co_return *done.cap.as<grid::ChkCap>();
  }

  // A small file when all connections are up and nothing of it is known.
  Task<Result<>> read_small(grid::ChkCap cap) {
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
      auto file =
          std::make_shared<grid::ImmutableFile>(executor_, roster_, pool_, grid::verifier_of(cap));
      grid::ChkReader reader(file, cap.key, pool_);
      const auto begin = Clock::now();
      auto data = co_await reader.read(0, cap.size);
      times.push_back(seconds(Clock::now() - begin));
      co_await file->close();
      if (!data) co_return std::unexpected(std::move(data).error());
    }
    std::ranges::sort(times);
    figures_.push_back({"get of 1 KiB", times[2] * 1e3, "ms"});
    if (options_.round_trip > Duration{}) {
      figures_.push_back(
          {"get of 1 KiB, round trips", times[2] / seconds(options_.round_trip), ""});
    }
    co_return Result<>{};
  }

  void spoil_servers(const grid::ChkCap& cap) {
    for (unsigned i = 0; i < options_.bad(); ++i) {
      auto weather = usual_weather();
      if (i < options_.stall) {
        weather.stalled = true;
        proxies_[i]->set(weather);
      } else if (i < options_.stall + options_.slow) {
        weather.round_trip += std::chrono::seconds(1);
        proxies_[i]->set(weather);
      } else {
        const auto si = grid::storage_index_of(cap.key).text();
        damage(members_[i].shares / si.substr(0, 2) / si, cap.size / cap.k / 4);
      }
    }
  }

  Task<Result<>> read(grid::ChkCap cap, bool go_bad) {
    auto file =
        std::make_shared<grid::ImmutableFile>(executor_, roster_, pool_, grid::verifier_of(cap));
    auto stream = std::make_unique<grid::ChkStream>(executor_, file, cap.key, pool_);
    std::uint64_t got = 0;
    bool bad = false;
    Result<> outcome;
    longest_wait_ = 0;
    while (got < cap.size) {
      const auto begin = Clock::now();
      auto data = co_await stream->next();
      longest_wait_ = std::max(longest_wait_, seconds(Clock::now() - begin));
      if (!data) {
        outcome = std::unexpected(std::move(data).error());
        break;
      }
      got += data->size();
      if (!go_bad || bad || got < cap.size / 4) continue;
      bad = true;
      spoil_servers(cap);
    }
    co_await stream->close();
    co_await file->close();
    co_return outcome;
  }

  asio::any_io_executor executor_;
  std::vector<BenchMember> members_;
  GridBenchOptions options_;
  std::function<void(std::string)> say_;
  Pool pool_;
  grid::storage::Roster roster_;
  std::vector<std::unique_ptr<TcpProxy>> proxies_;
  std::vector<Figure> figures_;
  double longest_wait_ = 0;
};

}  // namespace

Task<Result<std::vector<Figure>>> bench_grid(asio::any_io_executor executor,
                                             std::vector<BenchMember> members,
                                             GridBenchOptions options,
                                             std::function<void(std::string)> say) {
  auto bench = std::make_unique<GridBench>(executor, std::move(members), options, std::move(say));
  co_return co_await bench->run();
}

}  // namespace lafs::cli
