// SPDX-License-Identifier: Apache-2.0
#include "tests/fake/fake_server.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>

namespace lafs::grid::fake {

using namespace storage;

bool FailPoint::step() {
  const auto number = calls++;
  const bool fails = (fail_at && number == *fail_at) || (dead_from && number >= *dead_from);
  fired = fired || fails;
  return fails;
}

class FakeServer::InFlight {
 public:
  explicit InFlight(FakeServer& server) : server_(server) {
    server_.most_in_flight_ = std::max(server_.most_in_flight_, ++server_.in_flight_);
  }
  ~InFlight() { --server_.in_flight_; }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  FakeServer& server_;
};

FakeServer::~FakeServer() { assert(in_flight_ == 0 && "a call outlives its server"); }

void FakeServer::set_gone(bool gone) {
  faults.broken = gone ? std::optional(Errc::unreachable) : std::nullopt;
}

void FakeServer::fail_at(std::uint64_t n, Lost lost) {
  own_steps.fail_at = own_steps.calls + n;
  own_steps.lost = lost;
}

void FakeServer::die_at(std::uint64_t n) { own_steps.dead_from = own_steps.calls + n; }

void FakeServer::release() {
  faults.stalled = false;
  for (auto* call : stalled_calls_) call->notify();
}

void FakeServer::arrive_late() {
  for (auto& request : std::exchange(late_, {})) request();
}

std::uint64_t FakeServer::calls(Verb verb) const {
  auto it = calls_.find(verb);
  return it == calls_.end() ? 0 : it->second;
}

std::uint64_t FakeServer::total_calls() const {
  std::uint64_t all = 0;
  for (auto& [verb, n] : calls_) all += n;
  return all;
}

void FakeServer::reset_counters() {
  calls_.clear();
  reports_.clear();
  bytes_read_ = bytes_written_ = 0;
  most_in_flight_ = 0;
}

std::size_t FakeServer::unfinished_uploads() const {
  std::size_t n = 0;
  for (auto& [si, bucket] : buckets_) n += bucket.uploads.size();
  return n;
}

std::set<StorageIndex> FakeServer::storage_indexes() const {
  std::set<StorageIndex> out;
  for (auto& [si, bucket] : buckets_) {
    if (!bucket.shares.empty()) out.insert(si);
  }
  return out;
}

std::set<ShareNo> FakeServer::shares(StorageIndex si) const {
  std::set<ShareNo> out;
  if (auto it = buckets_.find(si); it != buckets_.end()) {
    for (auto& [number, data] : it->second.shares) out.insert(number);
  }
  return out;
}

std::optional<Bytes> FakeServer::get_share(StorageIndex si, ShareNo number) const {
  auto it = buckets_.find(si);
  if (it == buckets_.end()) return std::nullopt;
  auto share = it->second.shares.find(number);
  if (share == it->second.shares.end()) return std::nullopt;
  return share->second;
}

void FakeServer::put_share(StorageIndex si, ShareNo number, Bytes data, ShareKind kind) {
  auto& bucket = buckets_[si];
  bucket.kind = kind;
  bucket.shares[number] = std::move(data);
}

bool FakeServer::delete_share(StorageIndex si, ShareNo number) {
  auto it = buckets_.find(si);
  if (it == buckets_.end() || it->second.shares.erase(number) == 0) return false;
  forget_if_empty(si);
  return true;
}

bool FakeServer::flip_bit(StorageIndex si, ShareNo number, std::uint64_t offset, unsigned bit) {
  auto it = buckets_.find(si);
  if (it == buckets_.end()) return false;
  auto share = it->second.shares.find(number);
  if (share == it->second.shares.end() || offset >= share->second.size()) return false;
  share->second[offset] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  return true;
}

std::vector<LeaseSecrets> FakeServer::leases(StorageIndex si) const {
  auto it = buckets_.find(si);
  return it == buckets_.end() ? std::vector<LeaseSecrets>() : it->second.leases;
}

void FakeServer::forget_if_empty(StorageIndex si) {
  auto it = buckets_.find(si);
  if (it != buckets_.end() && it->second.shares.empty() && it->second.uploads.empty()) {
    buckets_.erase(it);
  }
}

// --- the way in and out

Task<Result<bool>> FakeServer::arrive(Verb verb) {
  ++calls_[verb];
  const bool own = own_steps.step();
  const bool grid = grid_steps && grid_steps->step();
  const bool concerned = faults.only.empty() || faults.only.contains(verb);
  auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  if (concerned && faults.stalled && !closed_) {
    Signal released(executor);
    auto here = stalled_calls_.insert(stalled_calls_.end(), &released);
    co_await released.wait();
    stalled_calls_.erase(here);
  }
  if (concerned && faults.delay > Duration{}) co_await sleep_for(faults.delay);
  if (closed_) co_return fail(Errc::closed, name_);
  const bool stop = co_await stop_requested();
  if (stop) co_return fail(Errc::cancelled, name_);
  if (concerned && faults.broken) co_return fail(*faults.broken, name_);
  const bool lose =
      (own && own_steps.lost == Lost::reply) || (grid && grid_steps->lost == Lost::reply);
  if ((own || grid) && !lose) co_return fail(Errc::unreachable, name_ + ": this call fails");
  co_return lose;
}

template <class T>
Result<T> FakeServer::answer(bool lose, Result<T> reply) {
  if (lose) return fail(Errc::unreachable, name_ + ": the reply was lost");
  return reply;
}

Task<> FakeServer::close() {
  closed_ = true;
  release();
  co_return;
}

Task<Result<ServerVersion>> FakeServer::version() {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::version));
  ServerVersion v;
  v.max_immutable_share_size = faults.read_only ? 0 : faults.max_share_size;
  v.max_mutable_share_size = std::uint64_t{69105} * 1'000'000'000'000;
  v.available_space = faults.read_only ? 0 : std::uint64_t{1} << 60;
  v.application_version = "fake";
  co_return answer<ServerVersion>(lose, v);
}

Task<Result<>> FakeServer::add_lease(StorageIndex si, LeaseSecrets lease) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::add_lease));
  co_return answer<void>(lose, do_add_lease(si, lease));
}

Task<Result<Allocation>> FakeServer::allocate(StorageIndex si, std::set<ShareNo> numbers,
                                              std::uint64_t share_size, LeaseSecrets lease,
                                              UploadSecret upload) {
  InFlight here(*this);
  auto arrived = co_await arrive(Verb::allocate);
  if (!arrived && arrived.error().code == Errc::cancelled && faults.overtaken) {
    late_.push_back([=, this] { (void)do_allocate(si, numbers, share_size, lease, upload); });
  }
  CO_TRY(lose, std::move(arrived));
  co_return answer<Allocation>(lose, do_allocate(si, numbers, share_size, lease, upload));
}

Task<Result<WriteProgress>> FakeServer::write(StorageIndex si, ShareNo number, UploadSecret upload,
                                              std::uint64_t offset, ByteView data) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::write));
  co_return answer<WriteProgress>(lose, do_write(si, number, upload, offset, data));
}

Task<Result<>> FakeServer::abort(StorageIndex si, ShareNo number, UploadSecret upload) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::abort));
  co_return answer<void>(lose, do_abort(si, number, upload));
}

Task<Result<std::set<ShareNo>>> FakeServer::list(ShareKind kind, StorageIndex si) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::list));
  auto it = buckets_.find(si);
  // The mutable listing does not look at the kind; the immutable one does.
  if (kind == ShareKind::immutable && it != buckets_.end() &&
      it->second.kind == ShareKind::mutable_) {
    co_return fail(Errc::refused, name_ + " holds mutable shares there");
  }
  co_return answer<std::set<ShareNo>>(lose, shares(si));
}

Task<Result<Bytes>> FakeServer::read(ShareKind kind, StorageIndex si, ShareNo number,
                                     std::uint64_t offset, std::uint64_t length) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::read));
  co_return answer<Bytes>(lose, do_read(kind, si, number, offset, length));
}

Task<Result<>> FakeServer::advise_corrupt(ShareKind kind, StorageIndex si, ShareNo number,
                                          std::string reason) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::advise_corrupt));
  if (!get_share(si, number)) co_return fail(Errc::not_found, name_);
  if (reason.empty()) co_return fail(Errc::protocol, "a reason has 1 to 32765 bytes");
  reports_.push_back({kind, si, number, reason.substr(0, 32765)});
  co_return answer<void>(lose, {});
}

Task<Result<ReadTestWriteReply>> FakeServer::read_test_write(StorageIndex si,
                                                             MutableSecrets secrets,
                                                             ReadTestWrite request) {
  InFlight here(*this);
  CO_TRY(lose, co_await arrive(Verb::read_test_write));
  co_return answer<ReadTestWriteReply>(lose, do_read_test_write(si, secrets, request));
}

// --- what the server does

Result<> FakeServer::do_add_lease(StorageIndex si, const LeaseSecrets& lease) {
  auto it = buckets_.find(si);
  if (it == buckets_.end() || it->second.shares.empty()) return fail(Errc::not_found, name_);
  for (auto& known : it->second.leases) {
    if (known.renew == lease.renew) return {};
  }
  it->second.leases.push_back(lease);
  return {};
}

Result<Allocation> FakeServer::do_allocate(StorageIndex si, const std::set<ShareNo>& numbers,
                                           std::uint64_t share_size, const LeaseSecrets& lease,
                                           const UploadSecret& upload) {
  Allocation out;
  if (auto it = buckets_.find(si); it != buckets_.end()) {
    if (it->second.kind == ShareKind::mutable_ && !it->second.shares.empty()) {
      return fail(Errc::refused, name_ + " holds mutable shares there");
    }
    for (auto& [number, data] : it->second.shares) out.already_have.insert(number);
    if (!out.already_have.empty()) (void)do_add_lease(si, lease);
  }
  if (faults.full || faults.read_only || share_size > faults.max_share_size) return out;
  for (auto number : numbers) {
    auto& bucket = buckets_[si];
    if (bucket.shares.contains(number) || bucket.uploads.contains(number)) continue;
    bucket.kind = ShareKind::immutable;
    bucket.uploads.emplace(number, Upload{upload, share_size, {}, {}});
    out.allocated.insert(number);
    if (bucket.leases.empty()) bucket.leases.push_back(lease);
  }
  return out;
}

Result<WriteProgress> FakeServer::do_write(StorageIndex si, ShareNo number,
                                           const UploadSecret& upload, std::uint64_t offset,
                                           ByteView data) {
  auto it = buckets_.find(si);
  if (it == buckets_.end()) return fail(Errc::not_found, name_);
  auto& bucket = it->second;
  auto found = bucket.uploads.find(number);
  if (found == bucket.uploads.end()) return fail(Errc::not_found, name_);
  auto& share = found->second;
  if (!(share.secret == upload)) return fail(Errc::unauthorized, name_);
  if (data.empty() || offset > share.size || data.size() > share.size - offset) {
    return fail(Errc::bad_range, name_ + ": a write outside of what was allocated");
  }
  const ByteRange range{offset, offset + data.size()};
  // Grows as written, so that a test may allocate far more than it writes.
  if (share.data.size() < range.end) share.data.resize(range.end);
  for (auto r : share.written.present(range)) {
    if (!equal(ByteView(share.data).subspan(r.begin, r.size()),
               data.subspan(r.begin - offset, r.size()))) {
      return fail(Errc::conflict, name_);
    }
  }
  std::copy(data.begin(), data.end(), share.data.begin() + static_cast<std::ptrdiff_t>(offset));
  share.written.add(range);
  bytes_written_ += data.size();
  WriteProgress progress;
  progress.required = share.written.missing({0, share.size});
  progress.complete = progress.required.empty();
  if (progress.complete) {
    bucket.shares[number] = std::move(share.data);
    bucket.uploads.erase(found);
  }
  return progress;
}

Result<> FakeServer::do_abort(StorageIndex si, ShareNo number, const UploadSecret& upload) {
  auto it = buckets_.find(si);
  if (it == buckets_.end()) return fail(Errc::not_found, name_);
  if (it->second.shares.contains(number)) return fail(Errc::refused, name_);
  auto found = it->second.uploads.find(number);
  if (found == it->second.uploads.end()) return fail(Errc::not_found, name_);
  if (!(found->second.secret == upload)) return fail(Errc::unauthorized, name_);
  it->second.uploads.erase(found);
  forget_if_empty(si);
  return {};
}

Result<Bytes> FakeServer::do_read(ShareKind kind, StorageIndex si, ShareNo number,
                                  std::uint64_t offset, std::uint64_t length) {
  auto it = buckets_.find(si);
  if (it == buckets_.end() || !it->second.shares.contains(number)) {
    return fail(Errc::not_found, name_);
  }
  if (it->second.kind != kind) return fail(Errc::refused, name_ + ": the other kind of share");
  const auto& data = it->second.shares.at(number);
  if (offset >= data.size()) return Bytes{};
  auto part = ByteView(data).subspan(offset, std::min<std::uint64_t>(length, data.size() - offset));
  bytes_read_ += part.size();
  return to_bytes(part);
}

namespace {
ByteView cut(const Bytes& data, std::uint64_t offset, std::uint64_t size) {
  if (offset >= data.size()) return {};
  return ByteView(data).subspan(offset, std::min<std::uint64_t>(size, data.size() - offset));
}
}  // namespace

Result<ReadTestWriteReply> FakeServer::do_read_test_write(StorageIndex si,
                                                          const MutableSecrets& secrets,
                                                          const ReadTestWrite& request) {
  ReadTestWriteReply reply;
  reply.success = true;
  static const Bytes nothing;
  auto it = buckets_.find(si);
  const Bucket* bucket = it == buckets_.end() ? nullptr : &it->second;
  if (bucket && !bucket->shares.empty()) {
    if (bucket->kind != ShareKind::mutable_) return fail(Errc::refused, name_);
    if (bucket->write_enabler && !(*bucket->write_enabler == secrets.write_enabler)) {
      return fail(Errc::unauthorized, name_ + ": another write enabler");
    }
  }
  auto share = [&](ShareNo number) -> const Bytes& {
    if (!bucket) return nothing;
    auto found = bucket->shares.find(number);
    return found == bucket->shares.end() ? nothing : found->second;
  };
  for (auto& [number, change] : request.changes) {
    for (auto& test : change.tests) {
      if (!equal(cut(share(number), test.offset, test.size), test.specimen)) reply.success = false;
    }
  }
  if (bucket) {
    for (auto& [number, data] : bucket->shares) {
      auto& out = reply.data[number];
      for (auto& r : request.reads) out.push_back(to_bytes(cut(data, r.offset, r.size)));
    }
  }
  if (!reply.success || request.changes.empty()) return reply;

  auto& target = buckets_[si];
  target.kind = ShareKind::mutable_;
  if (!target.write_enabler) target.write_enabler = secrets.write_enabler;
  for (auto& [number, change] : request.changes) {
    if (change.new_length == 0) {
      target.shares.erase(number);
      continue;
    }
    auto& data = target.shares[number];
    for (auto& w : change.writes) {
      if (data.size() < w.offset + w.data.size()) data.resize(w.offset + w.data.size());
      std::copy(w.data.begin(), w.data.end(), data.begin() + static_cast<std::ptrdiff_t>(w.offset));
      bytes_written_ += w.data.size();
    }
    if (change.new_length && *change.new_length < data.size()) data.resize(*change.new_length);
  }
  if (target.shares.empty()) {
    buckets_.erase(si);
  } else {
    (void)do_add_lease(si, secrets.lease);
  }
  return reply;
}

}  // namespace lafs::grid::fake
