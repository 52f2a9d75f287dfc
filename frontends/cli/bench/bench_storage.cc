// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_storage.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "frontends/cli/bench/raw_tls.h"
#include "grid/crypto/random.h"
#include "grid/server/disk.h"
#include "grid/server/disk_server.h"
#include "grid/server/http_service.h"
#include "grid/storage/remote_server.h"

namespace lafs::cli {

namespace {

using namespace grid;
using namespace grid::storage;

constexpr std::size_t piece = 1 << 20;
constexpr std::size_t small = 4 << 10;
constexpr const char* swissnum = "bench";

using Seconds = std::chrono::duration<double>;

double since(TimePoint begin) { return Seconds(Clock::now() - begin).count(); }

template <std::size_t N>
Secret<N> fresh_secret() {
  return *Secret<N>::from(random_bytes(N));
}
LeaseSecrets fresh_lease() { return {fresh_secret<32>(), fresh_secret<32>()}; }
StorageIndex fresh_index() {
  StorageIndex si;
  const auto raw = random_bytes(si.bytes.size());
  std::copy(raw.begin(), raw.end(), si.bytes.begin());
  return si;
}

// --- the other process

struct Ports {
  std::uint16_t storage = 0;
  std::uint16_t raw = 0;
};

Task<> serve(const StorageBenchOptions& options, const Identity& identity, std::uint16_t raw_port,
             int report) {
  const auto executor = co_await asio::this_coro::executor;
  Pool pool(8);
  DiskServer::Options disk_options;
  disk_options.directory = options.directory / "storage";
  disk_options.durable = options.durable;
  auto disk = DiskServer::open(executor, pool, disk_options);
  if (!disk) ::_exit(1);
  HttpService::Options http_options;
  http_options.swissnum = swissnum;
  http_options.max_connections = http_options.max_connections_per_peer = 1'000'000;
  HttpService http(executor, **disk, identity, http_options);
  const auto port = co_await http.listen("127.0.0.1", 0);
  if (!port) ::_exit(1);
  const Ports ports{*port, raw_port};
  if (::write(report, &ports, sizeof ports) != sizeof ports) ::_exit(1);
  // Until it is killed.
  Signal never(executor);
  while (true) co_await never.wait();
}

[[noreturn]] void be_the_server(const StorageBenchOptions& options, const Identity& identity,
                                int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  auto raw = raw_listen();
  if (!raw) ::_exit(1);
  std::thread(raw_serve, raw->first, std::cref(identity)).detach();
  lafs::run(serve(options, identity, raw->second, report));
  ::_exit(0);
}

class ServerProcess {
 public:
  static Result<ServerProcess> start(const StorageBenchOptions& options, const Identity& identity) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "no pipe");
    const pid_t pid = ::fork();
    if (pid < 0) return fail(Errc::io, "no process");
    if (pid == 0) be_the_server(options, identity, ends[1]);
    ::close(ends[1]);
    ServerProcess out(pid);
    const auto n = ::read(ends[0], &out.ports, sizeof out.ports);
    ::close(ends[0]);
    if (n != sizeof out.ports) return fail(Errc::io, "the server did not start");
    return out;
  }
  ServerProcess(ServerProcess&& other) noexcept
      : ports(other.ports), pid_(std::exchange(other.pid_, 0)) {}
  ~ServerProcess() {
    if (!pid_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  // Seconds of CPU used so far.
  double cpu() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
    std::string skipped;
    std::getline(in, skipped, ')');
    for (int i = 0; i < 11; ++i) in >> skipped;
    double user = 0;
    double system = 0;
    in >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  // Bytes of memory it has, file mappings left out.
  double memory() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("RssAnon:")) return 1024 * std::strtod(line.c_str() + 8, nullptr);
    }
    return 0;
  }

  Ports ports;

 private:
  explicit ServerProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

// --- the disk by itself

Result<double> sync_rate(const StorageBenchOptions& options) {
  Disk disk;
  TRY(file, disk.create(options.directory / "syncs"));
  const Bytes data(small, 7);
  const auto begin = Clock::now();
  std::uint64_t n = 0;
  for (; since(begin) < options.seconds; ++n) {
    TRY_DO(disk.write(file, n % 1024 * small, data));
    TRY_DO(disk.sync(file));
  }
  const double rate = static_cast<double>(n) / since(begin);
  TRY_DO(disk.remove(file.path()));
  return rate;
}

Result<double> disk_write_rate(const StorageBenchOptions& options) {
  Disk disk(options.durable);
  TRY(file, disk.create(options.directory / "bulk"));
  const Bytes data(piece, 7);
  const auto begin = Clock::now();
  for (std::uint64_t at = 0; at < options.bulk; at += piece) {
    TRY_DO(disk.write(file, at, data));
  }
  TRY_DO(disk.sync(file));
  const double rate = static_cast<double>(options.bulk) / since(begin);
  TRY_DO(disk.remove(file.path()));
  return rate;
}

// --- load

struct Load {
  RemoteServer& server;
  const StorageBenchOptions& options;
  StorageIndex bulk_index = fresh_index();
};

// Shares that go to or come from the server side by side, as the segments of a file do.
constexpr std::uint64_t streams = 4;

Task<> send_share(Load& load, ShareNo number, UploadSecret secret, const Bytes& data,
                  Result<>& outcome) {
  const auto size = load.options.bulk / streams;
  for (std::uint64_t at = 0; at < size && outcome; at += piece) {
    auto written = co_await load.server.write(load.bulk_index, number, secret, at, data);
    if (!written) outcome = std::unexpected(std::move(written).error());
  }
}

Task<Result<double>> upload(Load& load) {
  const auto secret = fresh_secret<32>();
  std::set<ShareNo> numbers;
  for (std::uint64_t i = 0; i < streams; ++i) numbers.insert(ShareNo{i});
  const Bytes data = random_bytes(piece);
  TaskGroup group(co_await asio::this_coro::executor);
  Result<> outcome;
  const auto begin = Clock::now();
  CO_TRY(allocated,
         co_await load.server.allocate(load.bulk_index, numbers, load.options.bulk / streams,
                                       fresh_lease(), secret));
  if (allocated.allocated != numbers) co_return fail(Errc::no_space, "the server has no room");
  for (auto number : numbers) group.spawn(send_share(load, number, secret, data, outcome));
  co_await group.join();
  if (!outcome) co_return std::unexpected(outcome.error());
  co_return static_cast<double>(load.options.bulk) / since(begin);
}

Task<> fetch_share(Load& load, ShareNo number, Result<>& outcome) {
  const auto size = load.options.bulk / streams;
  for (std::uint64_t at = 0; at < size && outcome; at += piece) {
    auto bytes =
        co_await load.server.read(ShareKind::immutable, load.bulk_index, number, at, piece);
    if (!bytes) {
      outcome = std::unexpected(std::move(bytes).error());
    } else if (bytes->size() != piece) {
      outcome = fail(Errc::io, "a short read");
    }
  }
}

Task<Result<double>> download(Load& load) {
  TaskGroup group(co_await asio::this_coro::executor);
  Result<> outcome;
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < streams; ++i) {
    group.spawn(fetch_share(load, ShareNo{i}, outcome));
  }
  co_await group.join();
  if (!outcome) co_return std::unexpected(outcome.error());
  co_return static_cast<double>(load.options.bulk) / since(begin);
}

enum class Small : std::uint8_t { version, read, write };

Task<Result<>> one_small(Load& load, Small what, const StorageIndex& si,
                         const MutableSecrets& secrets) {
  switch (what) {
    case Small::version: {
      auto version = co_await load.server.version();
      if (!version) co_return std::unexpected(version.error());
      break;
    }
    case Small::read: {
      auto bytes = co_await load.server.read(ShareKind::immutable, load.bulk_index, ShareNo{0},
                                             small, small);
      if (!bytes) co_return std::unexpected(bytes.error());
      break;
    }
    case Small::write: {
      ReadTestWrite change;
      change.changes[ShareNo{0}].writes.push_back({0, Bytes(small, 1)});
      CO_TRY(reply, co_await load.server.read_test_write(si, secrets, std::move(change)));
      if (!reply.success) co_return fail(Errc::io, "a write was refused");
      break;
    }
  }
  co_return Result<>{};
}

Task<> many_small(Load& load, Small what, TimePoint end, std::uint64_t& done, Result<>& outcome) {
  const auto si = fresh_index();
  const MutableSecrets secrets{fresh_secret<32>(), fresh_lease()};
  while (outcome && Clock::now() < end) {
    auto result = co_await one_small(load, what, si, secrets);
    if (!result) outcome = std::move(result);
    ++done;
  }
}

struct Rate {
  double per_second = 0;
  double per_cpu_second = 0;  // of the server's CPU
};

Task<Result<Rate>> small_rate(Load& load, const ServerProcess& process, Small what) {
  TaskGroup group(co_await asio::this_coro::executor);
  std::uint64_t done = 0;
  Result<> outcome;
  const double cpu = process.cpu();
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Duration>(Seconds(load.options.seconds));
  for (unsigned i = 0; i < load.options.parallel; ++i) {
    group.spawn(many_small(load, what, end, done, outcome));
  }
  co_await group.join();
  if (!outcome) co_return std::unexpected(outcome.error());
  const auto n = static_cast<double>(done);
  co_return Rate{n / since(begin), n / std::max(process.cpu() - cpu, 0.01)};
}

Figure mb(std::string name, double bytes_per_second) {
  return {std::move(name), bytes_per_second / 1e6, "MB/s"};
}
Figure rate_of(std::string name, double per_second) { return {std::move(name), per_second, "1/s"}; }

Task<Result<std::vector<Figure>>> measure(const StorageBenchOptions& options,
                                          const ServerProcess& process, const Identity& identity) {
  Nurl nurl;
  nurl.pin = identity.pin();
  nurl.host = "127.0.0.1";
  nurl.port = process.ports.storage;
  nurl.swissnum = swissnum;
  RemoteServer::Options client;
  client.max_connections = options.parallel;
  RemoteServer server(co_await asio::this_coro::executor, nurl, client);
  Load load{server, options};
  std::vector<Figure> out;

  CO_TRY(raw_up, raw_send(process.ports.raw, identity.pin(), options.bulk));
  CO_TRY(raw_down, raw_receive(process.ports.raw, identity.pin(), options.bulk));
  CO_TRY(disk_bulk, disk_write_rate(options));
  CO_TRY(up, co_await upload(load));
  CO_TRY(down, co_await download(load));
  out.push_back(mb("raw TLS, to the server", raw_up));
  out.push_back(mb("raw TLS, from the server", raw_down));
  out.push_back(mb("disk, write and one sync", disk_bulk));
  out.push_back(against(mb("immutable upload, against raw TLS", up), raw_up / 1e6));
  out.push_back(against(mb("immutable upload, against the disk", up), disk_bulk / 1e6));
  out.push_back(against(mb("immutable download, against raw TLS", down), raw_down / 1e6));

  CO_TRY(syncs, sync_rate(options));
  CO_TRY(versions, co_await small_rate(load, process, Small::version));
  CO_TRY(reads, co_await small_rate(load, process, Small::read));
  CO_TRY(writes, co_await small_rate(load, process, Small::write));
  out.push_back(rate_of("version requests", versions.per_second));
  out.push_back(rate_of("version requests for each second of server CPU", versions.per_cpu_second));
  out.push_back(rate_of("reads of 4 KiB", reads.per_second));
  out.push_back(rate_of("reads of 4 KiB for each second of server CPU", reads.per_cpu_second));
  out.push_back(rate_of("disk, 4 KiB and a sync, one after another", syncs));
  out.push_back(
      against(rate_of("mutable writes of 4 KiB, against syncs", writes.per_second), syncs));
  out.push_back(
      rate_of("mutable writes of 4 KiB for each second of server CPU", writes.per_cpu_second));
  co_await server.close();

  const double before = process.memory();
  const IdleConnections idle(process.ports.storage, identity.pin(), options.idle);
  // The last handshake may still be on its way.
  co_await sleep_for(std::chrono::milliseconds(500));
  if (idle.open() > 0) {
    const auto count = static_cast<double>(idle.open());
    const double all = std::max(process.memory() - before, 0.0);
    // 500 MiB for 10,000 are the limit.
    out.push_back(against(
        {"memory of " + std::to_string(idle.open()) + " idle connections", all / (1 << 20), "MiB"},
        500 * count / 10'000));
  }
  if (idle.open() < options.idle) {
    co_return fail(Errc::busy, "only " + std::to_string(idle.open()) +
                                   " idle connections could be made: raise the limit of open "
                                   "files (ulimit -n) and see net.ipv4.ip_local_port_range");
  }
  co_return out;
}

}  // namespace

Result<std::vector<Figure>> bench_storage(const StorageBenchOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  StorageBenchOptions own = options;
  own.directory /= "lafs-bench-" + std::to_string(::getpid());
  own.bulk = std::max<std::uint64_t>(options.bulk / piece / streams, 1) * piece * streams;
  std::error_code error;
  std::filesystem::create_directories(own.directory, error);
  if (error) return fail(Errc::io, "making " + own.directory.string() + ": " + error.message());
  const auto identity = Identity::generate();
  auto process = ServerProcess::start(own, identity);
  Result<std::vector<Figure>> out = std::vector<Figure>{};
  if (process) {
    out = lafs::run(measure(own, *process, identity));
  } else {
    out = std::unexpected(process.error());
  }
  {
    const auto ended = std::move(process);  // before its directory goes
  }
  std::filesystem::remove_all(own.directory, error);
  return out;
}

}  // namespace lafs::cli
