// SPDX-License-Identifier: Apache-2.0
#include "grid/client.h"

#include "grid/crypto/random.h"
#include "grid/immutable/chk_reader.h"
#include "grid/mutable/file_check.h"

namespace lafs::grid {

namespace {
// Open files cost their hash trees and server lists: some 100 KiB each at most.
constexpr std::size_t most_open_immutable = 256;
// These cost some kilobytes, and the contents of small ones that we wrote.
constexpr std::size_t most_open_mutable = 512;
// The plaintext of one read() call.
constexpr std::uint64_t largest_read = std::uint64_t{1} << 32;
}  // namespace

std::uint64_t usable_space(std::vector<std::uint64_t> available, const Encoding& encoding) {
  std::erase(available, 0u);
  if (available.empty()) return 0;
  const auto distinct = std::min<std::uint64_t>(encoding.n, available.size());
  // With x bytes on each of `distinct` servers per round, what fits is the largest x for which the
  // servers together hold distinct * x, none of them more than x.
  std::uint64_t low = 0, high = *std::ranges::max_element(available);
  auto fits = [&](std::uint64_t x) {
    unsigned __int128 sum = 0;
    for (auto a : available) sum += std::min(a, x);
    return sum >= static_cast<unsigned __int128>(distinct) * x;
  };
  while (low < high) {
    const auto middle = low + (high - low + 1) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  const auto shares = static_cast<unsigned __int128>(distinct) * low;
  const auto files = shares * encoding.k / encoding.n;
  constexpr std::uint64_t most = std::uint64_t{1} << 62;  // servers without a limit say 2^64
  return files > most ? most : static_cast<std::uint64_t>(files);
}

namespace {
std::optional<KeyPool::OnDisk> keys_on_disk(const Client::Options& options) {
  if (options.spare_keys.empty()) return std::nullopt;
  const auto seal = tagged_hash("lafs spare keys of a node v1", options.lease_secret.view());
  return KeyPool::OnDisk{options.spare_keys, Secret32(seal)};
}
}  // namespace

Client::Client(asio::any_io_executor executor, storage::Roster& roster, Pool& pool, Options options)
    : executor_(executor),
      roster_(roster),
      pool_(pool),
      options_(std::move(options)),
      keys_(executor, pool, 0, keys_on_disk(options_)),
      closing_(executor) {}

Client::~Client() = default;

MutableContext Client::mutable_context() {
  return {.roster = roster_,
          .pool = pool_,
          .lease_secret = options_.lease_secret,
          .k = options_.encoding.k,
          .n = options_.encoding.n,
          .facts = facts_};
}

UploadContext Client::upload_context() const {
  return {.roster = roster_,
          .pool = pool_,
          .lease_secret = options_.lease_secret,
          .encoding = options_.encoding,
          .convergence_secret = options_.convergence_secret};
}

Task<Result<Cap>> Client::put(const Source& source, Progress progress) {
  auto context = upload_context();
  context.progress = std::move(progress);
  CO_TRY(result, co_await upload(std::move(context), source));
  co_return result.cap;
}

Task<Result<Cap>> Client::put_random(const Source& source, Progress progress) {
  auto context = upload_context();
  context.progress = std::move(progress);
  const Key16 key = random_secret<16>();
  CO_TRY(result, co_await upload(std::move(context), source, key));
  co_return result.cap;
}

Task<Result<std::shared_ptr<ImmutableFile>>> Client::immutable_file(ChkVerifyCap cap) {
  for (auto it = immutable_.begin(); it != immutable_.end(); ++it) {
    // The same storage index with another hash is another file (or a lie about this one).
    if (it->first == cap.storage_index && it->second->cap() == cap) {
      immutable_.splice(immutable_.begin(), immutable_, it);
      co_return immutable_.front().second;
    }
  }
  auto file = std::make_shared<ImmutableFile>(executor_, roster_, pool_, cap);
  immutable_.emplace_front(cap.storage_index, file);
  for (auto it = immutable_.end();
       immutable_.size() > most_open_immutable && it != immutable_.begin();) {
    --it;
    if (it->second.use_count() > 1) continue;
    closing_.spawn(close_file(std::move(it->second)));
    it = immutable_.erase(it);
  }
  co_return file;
}

Task<> Client::close_file(std::shared_ptr<ImmutableFile> file) { co_await file->close(); }

Task<> Client::close_mutable(std::shared_ptr<MutableFile> file) { co_await file->close(); }

Result<std::shared_ptr<MutableFile>> Client::mutable_file(const Cap& cap) {
  const auto si = cap.storage_index();
  if (!cap.is_mutable() || !si) return fail(Errc::bad_cap, "not a mutable file");
  if (const auto known = mutable_at_.find(*si); known != mutable_at_.end()) {
    mutable_.splice(mutable_.begin(), mutable_, known->second);
    auto& file = mutable_.front().second;
    if (!file->writable() && !cap.is_read_only()) {
      closing_.spawn(close_mutable(std::move(file)));
      file = std::make_shared<MutableFile>(executor_, mutable_context(), cap);
    }
    return file;
  }
  auto file = std::make_shared<MutableFile>(executor_, mutable_context(), cap);
  mutable_.emplace_front(*si, file);
  mutable_at_[*si] = mutable_.begin();
  // A file that somebody holds stays: there is one object for each.
  for (auto it = mutable_.end(); mutable_.size() > most_open_mutable && it != mutable_.begin();) {
    --it;
    if (it->second.use_count() > 1) continue;
    mutable_at_.erase(it->first);
    closing_.spawn(close_mutable(std::move(it->second)));
    it = mutable_.erase(it);
  }
  return file;
}

Task<Result<CheckReport>> Client::check_mutable(Cap cap, CheckOptions options) {
  co_return co_await grid::check_mutable(executor_, mutable_context(), std::move(cap),
                                         std::move(options));
}

Task<Result<Cap>> Client::create_mutable(MutableFormat format, Bytes contents) {
  auto key = co_await keys_.take();
  co_return co_await MutableFile::create(executor_, mutable_context(), format, std::move(contents),
                                         std::move(key));
}

Task<Result<std::shared_ptr<Directory>>> Client::directory(Cap cap) {
  if (!cap.is_directory()) co_return fail(Errc::not_directory, "the cap is not a directory's");
  if (cap.is_verifier()) co_return fail(Errc::bad_cap, "a verify cap cannot be read");
  if (cap.is_mutable()) {
    CO_TRY(file, mutable_file(cap));
    co_return std::make_shared<Directory>(std::move(file), cap, pool_);
  }
  CO_TRY(contents, co_await read(cap));
  co_return std::make_shared<Directory>(std::move(contents), pool_);
}

Task<Result<Cap>> Client::create_directory(std::vector<Child> children,
                                           std::optional<MutableFormat> format) {
  auto key = co_await keys_.take();
  co_return co_await Directory::create(executor_, mutable_context(),
                                       format.value_or(MutableFormat::sdmf), std::move(key),
                                       std::move(children));
}

Task<Result<Bytes>> Client::read(Cap cap, std::uint64_t offset, std::uint64_t length) {
  if (auto* literal = cap.as<LitCap>()) {
    const auto from = std::min<std::uint64_t>(offset, literal->data.size());
    const auto size = std::min<std::uint64_t>(length, literal->data.size() - from);
    co_return to_bytes(ByteView(literal->data).subspan(from, size));
  }
  if (auto* chk = cap.as<ChkCap>()) {
    if (offset >= chk->size) co_return Bytes{};
    length = std::min(length, chk->size - offset);
    if (length > largest_read) co_return fail(Errc::too_large, "one read");
    CO_TRY(file, co_await immutable_file(verifier_of(*chk)));
    ChkReader reader(file, chk->key, pool_);
    co_return co_await reader.read(offset, length);
  }
  if (cap.is_mutable()) {
    CO_TRY(file, mutable_file(cap));
    CO_TRY(found, co_await file->read_part(offset, length));
    co_return std::move(found.bytes);
  }
  co_return fail(Errc::bad_cap, cap.is_verifier() ? "a verify cap cannot be read"
                                                  : "a cap of an unknown kind cannot be read");
}

Task<Result<std::uint64_t>> Client::size(Cap cap) {
  if (auto known = cap.size()) co_return *known;
  CO_TRY(file, mutable_file(cap));
  CO_TRY(found, co_await file->read_part(0, 0));
  co_return found.size;
}

namespace {
Task<> ask_space(std::shared_ptr<storage::Server> server, std::vector<std::uint64_t>& answers) {
  auto version = co_await server->version();
  if (version) answers.push_back(version->available_space);
}
}  // namespace

Task<Result<GridSpace>> Client::space() {
  std::vector<std::uint64_t> answers;
  TaskGroup asking(executor_);
  for (const auto& known : roster_.all()) asking.spawn(ask_space(known.server, answers));
  co_await asking.join();
  if (answers.empty()) co_return fail(Errc::no_servers, "no storage server answered");
  GridSpace space{.servers = static_cast<unsigned>(answers.size())};
  space.available = usable_space(std::move(answers), options_.encoding);
  co_return space;
}

Task<> Client::close() {
  co_await keys_.close();
  for (auto& [si, file] : immutable_) co_await file->close();
  for (auto& [si, file] : mutable_) co_await file->close();
  co_await closing_.join();
  immutable_.clear();
  mutable_at_.clear();
  mutable_.clear();
}

}  // namespace lafs::grid
