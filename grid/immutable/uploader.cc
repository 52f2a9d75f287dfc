// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/uploader.h"

#include <boost/asio/this_coro.hpp>

#include "grid/caps/keys.h"
#include "grid/crypto/random.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/on_pool.h"
#include "grid/immutable/shielded.h"
#include "grid/immutable/ueb.h"
#include "grid/immutable/upload_plan.h"

namespace lafs::grid {

namespace {

using storage::KnownServer;
using storage::UploadSecret;

constexpr auto longest_wait = std::chrono::milliseconds(1000);

class Upload {
 public:
  Upload(asio::any_io_executor executor, UploadContext& context, const Source& source,
         std::unique_ptr<FileEncoder> encoder, const Key16& key)
      : executor_(executor),
        context_(context),
        source_(source),
        encoder_(std::move(encoder)),
        key_(key),
        si_(storage_index_of(key)),
        share_size_(encoder_->layout().share_length(ueb_length(encoder_->geometry()))),
        plan_(context.encoding, share_size_),
        answers_(executor),
        background_(executor) {}

  Task<Result<UploadResult>> run() {
    auto result = co_await place_and_send();
    // Also when cancelled: what was allocated is given back.
    if (!result) co_await shielded(abort_all());
    background_.cancel();
    co_await background_.join();
    co_return result;
  }

  // It failed because another upload of the same file may be under way.
  bool contended() const { return sending_.empty() && plan_.contended(); }

 private:
  struct Target {
    KnownServer known;
    LeaseSecrets lease;
    UploadSecret secret;
    bool asked_for_space = false;
  };
  struct Sending {
    ServerNo server;
    std::unique_ptr<ShareWriter> writer;
  };

  Task<Result<UploadResult>> place_and_send() {
    CO_TRY_DO(co_await find_homes());
    start_writers();
    const SegmentSink sink = [this](const EncodedSegment& segment) { return take(segment); };
    CO_TRY(file, co_await encode_file(*encoder_, source_, context_.pool, sink));
    CO_TRY_DO(co_await finish_shares(file));
    co_return report(file);
  }

  // --- who takes what

  Task<Result<>> find_homes() {
    std::vector<KnownServer> order;
    for (const auto* known : context_.roster.permuted(si_)) order.push_back(*known);
    if (order.empty()) co_return std::unexpected(plan_.complaint());
    const auto batch = 2 * context_.encoding.n;
    // The first 2n servers, and further ones only when those do not suffice.
    while (targets_.size() < order.size() && !(targets_.size() > 0 && plan_.happy())) {
      const auto first = targets_.size();
      const auto last = std::min<std::size_t>(order.size(), first + batch);
      for (auto i = first; i < last; ++i) {
        targets_.push_back({order[i],
                            lease_secrets(context_.lease_secret, si_, order[i].lease_seed),
                            random_secret<32>()});
        plan_.add_server(order[i].name());
      }
      co_await survey(first);
      co_await allocate();
      const bool stop = co_await stop_requested();
      if (stop) co_return fail(Errc::cancelled, "upload");
    }
    if (!plan_.happy()) co_return std::unexpected(plan_.complaint());
    co_return Result<>{};
  }

  // Asks the servers from `first` on what they have and how much they take.
  Task<> survey(ServerNo first) {
    TaskGroup asking(executor_);
    unanswered_ = targets_.size() - first;
    good_answers_ = 0;
    for (auto i = first; i < targets_.size(); ++i) asking.spawn(ask_one(i));
    const auto begin = Clock::now();
    auto deadline = begin + context_.limits.survey;
    const auto enough = std::max<std::uint64_t>(1, context_.encoding.happy);
    bool hurried = false;
    while (unanswered_ > 0 && Clock::now() < deadline) {
      if (!hurried && good_answers_ >= enough) {
        hurried = true;
        const auto now = Clock::now();
        deadline =
            std::min(deadline, now + std::max(context_.limits.stragglers, 2 * (now - begin)));
      }
      co_await answers_.wait(deadline);
      const bool stop = co_await stop_requested();
      if (stop) break;
    }
    survey_over_ = unanswered_ > 0;
    asking.cancel();
    co_await asking.join();
    survey_over_ = false;
  }

  static Task<> list_shares(Target& target, StorageIndex si,
                            std::optional<Result<std::set<ShareNo>>>& out) {
    out = co_await target.known.server->list(storage::ShareKind::immutable, si);
  }

  Task<> ask_one(ServerNo i) {
    auto& target = targets_[i];
    std::optional<Result<std::set<ShareNo>>> shares;
    TaskGroup listing(executor_);
    listing.spawn(list_shares(target, si_, shares));
    auto version = co_await target.known.server->version();
    co_await listing.join();
    --unanswered_;
    answers_.notify();
    // An answer that our own impatience cut short is no failure of the server's.
    if (survey_over_ && (!version || !shares || !*shares)) {
      plan_.failed(i, Error{Errc::timed_out, {}});
      co_return;
    }
    if (!version) {
      plan_.failed(i, version.error());
    } else if (!shares || !*shares) {
      plan_.failed(i, shares ? shares->error() : Error{Errc::cancelled, {}});
    } else {
      plan_.answered(i, version->max_immutable_share_size, std::move(**shares));
      if (version->max_immutable_share_size >= share_size_) ++good_answers_;
    }
  }

  Task<> allocate() {
    for (auto asks = plan_.next_round(); !asks.empty(); asks = plan_.next_round()) {
      TaskGroup asking(executor_);
      for (auto& [server, shares] : asks) asking.spawn(allocate_on(server, shares));
      co_await asking.join();
      const bool stop = co_await stop_requested();
      if (stop) co_return;
    }
    for (auto [server, share] : plan_.surplus()) {
      const auto& target = targets_[server];
      background_.spawn(abort_share(target.known.server, si_, share, target.secret));
    }
  }

  Task<> allocate_on(ServerNo i, std::set<ShareNo> shares) {
    auto& target = targets_[i];
    target.asked_for_space = true;
    auto reply = co_await within(
        context_.limits.allocate, "allocating shares",
        target.known.server->allocate(si_, shares, share_size_, target.lease, target.secret));
    if (reply) {
      plan_.allocated(i, shares, *reply);
      co_return;
    }
    plan_.failed(i, reply.error());
    // It may have granted them all the same.
    for (auto share : shares) doubtful_.emplace_back(i, share);
  }

  // --- sending

  void start_writers() {
    auto limits = context_.limits.send;
    // Many shares share the memory that a usual number of them takes.
    limits.piece = std::clamp<std::uint64_t>((std::uint64_t{16} << 20) / context_.encoding.n,
                                             64 << 10, limits.piece);
    for (auto& [share, server] : plan_.to_send()) {
      const auto& target = targets_[server];
      auto writer = std::make_unique<ShareWriter>(executor_, target.known.server, si_, share,
                                                  target.secret, share_size_, limits);
      sending_.push_back({server, std::move(writer)});
    }
    for (ServerNo i = 0; i < targets_.size(); ++i) {
      const auto& target = targets_[i];
      if (target.asked_for_space || plan_.existing(i).empty()) continue;
      background_.spawn(renew_lease(target.known.server, si_, target.lease));
    }
    for (auto [server, share] : doubtful_) {
      const auto& target = targets_[server];
      background_.spawn(abort_share(target.known.server, si_, share, target.secret));
    }
  }

  // Shares that were found keep their lease; a failure is the next renewal's business.
  static Task<> renew_lease(std::shared_ptr<storage::Server> server, StorageIndex si,
                            LeaseSecrets lease) {
    (void)co_await within(std::chrono::seconds(15), "renewing a lease",
                          server->add_lease(si, lease));
  }

  Task<Result<>> take(const EncodedSegment& segment) {
    const auto header = segment.number.value == 0 ? serialize_header(encoder_->layout()) : Bytes();
    for (auto& sending : sending_) {
      if (sending.writer->error()) continue;
      if (!header.empty()) (void)co_await sending.writer->append(header);
      (void)co_await sending.writer->append(segment.block(sending.writer->number()));
    }
    CO_TRY_DO(co_await drop_failed());
    const auto& g = encoder_->geometry();
    if (context_.progress) {
      context_.progress(g.segment_offset(segment.number) + segment.length, g.size);
    }
    co_return Result<>{};
  }

  // Servers that failed while we sent do not count any more (10.5).
  Task<Result<>> drop_failed() {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "upload");
    for (auto& sending : sending_) {
      if (!sending.writer->error() || gone_.contains(sending.writer->number())) continue;
      gone_.insert(sending.writer->number());
      plan_.lost(sending.server, sending.writer->number(), *sending.writer->error());
    }
    if (!plan_.happy()) co_return std::unexpected(plan_.complaint());
    co_return Result<>{};
  }

  Task<> finish_share(Sending& sending, const EncodedFile& file) {
    if (sending.writer->error()) co_return;
    const auto number = sending.writer->number();
    Bytes trailer;
    co_await on_pool(context_.pool, file.geometry.num_segments * 256,
                     [&] { trailer = file.trailer(number); });
    (void)co_await sending.writer->append(trailer);
    (void)co_await sending.writer->finish();
  }

  Task<Result<>> finish_shares(const EncodedFile& file) {
    TaskGroup finishing(executor_);
    for (auto& sending : sending_) finishing.spawn(finish_share(sending, file));
    co_await finishing.join();
    CO_TRY_DO(co_await drop_failed());
    // The few that failed although the upload did not: nothing half-written stays.
    for (auto& sending : sending_) {
      if (sending.writer->error()) background_.spawn(sending.writer->abort());
    }
    // Aborts and renewals get a moment, but nobody waits long for a silent server.
    const auto deadline = Clock::now() + std::chrono::seconds(2);
    while (background_.running() > 0 && Clock::now() < deadline) {
      co_await background_.wait_one(deadline);
      const bool stopped = co_await stop_requested();
      if (stopped) break;
    }
    co_return Result<>{};
  }

  Task<> abort_all() {
    TaskGroup aborting(executor_);
    std::set<std::pair<ServerNo, ShareNo>> with_writer;
    for (auto& sending : sending_) {
      with_writer.emplace(sending.server, sending.writer->number());
      aborting.spawn(sending.writer->abort());
    }
    auto others = plan_.surplus();
    for (auto& [share, server] : plan_.to_send()) others.emplace_back(server, share);
    others.insert(others.end(), doubtful_.begin(), doubtful_.end());
    for (auto [server, share] : others) {
      if (!with_writer.emplace(server, share).second) continue;
      const auto& target = targets_[server];
      aborting.spawn(abort_share(target.known.server, si_, share, target.secret));
    }
    co_await aborting.join();
  }

  UploadResult report(const EncodedFile& file) const {
    UploadResult out;
    const auto& g = file.geometry;
    out.cap = Cap(ChkCap{key_, file.ueb_hash, g.k, g.n, g.size});
    out.report.happiness = plan_.happiness();
    std::set<ShareNo> found;
    for (ServerNo i = 0; i < targets_.size(); ++i) {
      for (auto share : plan_.existing(i)) {
        found.insert(share);
        out.report.servers[share].insert(targets_[i].known.id);
      }
    }
    out.report.shares_found = found.size();
    for (auto& sending : sending_) {
      out.report.bytes_sent += sending.writer->sent();
      if (!sending.writer->complete()) continue;
      ++out.report.shares_sent;
      out.report.servers[sending.writer->number()].insert(targets_[sending.server].known.id);
    }
    return out;
  }

  asio::any_io_executor executor_;
  UploadContext& context_;
  const Source& source_;
  std::unique_ptr<FileEncoder> encoder_;
  Key16 key_;
  StorageIndex si_;
  std::uint64_t share_size_;
  UploadPlan plan_;
  std::vector<Target> targets_;
  std::vector<Sending> sending_;
  std::vector<std::pair<ServerNo, ShareNo>> doubtful_;  // allocations whose answer got lost
  std::set<ShareNo> gone_;                              // shares whose writers failed
  Signal answers_;
  std::size_t unanswered_ = 0;
  std::size_t good_answers_ = 0;
  bool survey_over_ = false;
  TaskGroup background_;
};

}  // namespace

Task<Result<UploadResult>> upload(UploadContext context, const Source& source,
                                  std::optional<Key16> key) {
  CO_TRY_DO(context.encoding.check());
  if (source.size <= max_literal_size) {
    Bytes data(source.size);
    if (!data.empty()) CO_TRY_DO(co_await source.read(0, data));
    if (context.progress) context.progress(source.size, source.size);
    UploadResult literal;
    literal.cap = Cap(LitCap{std::move(data)});
    co_return literal;
  }
  CO_TRY(geometry, Geometry::for_upload(source.size, context.encoding));
  if (!key) {
    CO_TRY(from_contents,
           co_await convergent_key(source, geometry, context.convergence_secret, context.pool));
    key = from_contents;
  }
  auto executor = co_await asio::this_coro::executor;
  // Two writers of the same content meet at the same storage index: one sends, the other waits and
  // then finds the shares there.
  const auto patience_ends = Clock::now() + context.limits.contention;
  for (auto wait = std::chrono::milliseconds(20);; wait = std::min(2 * wait, longest_wait)) {
    CO_TRY(encoder, FileEncoder::make(geometry, *key));
    auto job = std::make_unique<Upload>(executor, context, source, std::move(encoder), *key);
    auto result = co_await job->run();
    const bool stop = co_await stop_requested();
    if (result || stop || !job->contended() || Clock::now() + wait > patience_ends) {
      co_return result;
    }
    // Both may have given way to each other: whoever comes back first is to find the way free.
    co_await sleep_for(wait / 2 + wait * random_array<1>()[0] / 512);
  }
}

}  // namespace lafs::grid
