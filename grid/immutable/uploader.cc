// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/uploader.h"

#include <boost/asio/this_coro.hpp>

#include "grid/caps/keys.h"
#include "grid/crypto/random.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/encode_pipeline.h"
#include "grid/immutable/immutable_file.h"
#include "grid/immutable/on_pool.h"
#include "grid/immutable/shielded.h"
#include "grid/immutable/ueb.h"
#include "grid/immutable/upload_homes.h"

namespace lafs::grid {

namespace {

constexpr auto longest_wait = std::chrono::milliseconds(1000);

Task<Result<>> read_segments(std::shared_ptr<ImmutableFile> file, Geometry geometry,
                             std::uint64_t offset, MutableBytes out) {
  // The encoder asks for whole segments.
  CO_TRY(segment, co_await file->segment(geometry.segment_at(offset)));
  if (segment->size() != out.size()) co_return fail(Errc::internal, "half a segment");
  std::ranges::copy(*segment, out.begin());
  co_return Result<>{};
}

// What is to be uploaded, besides the bytes.
struct Job {
  Geometry geometry;
  StorageIndex si;
  std::optional<Key16> key;  // none: the source gives ciphertext
  Bytes ueb;                 // of a file that is there already; else empty
  DistrustedShares distrusted;
  std::optional<SourceSum> contents = std::nullopt;  // that the key was made from
};

class Upload {
 public:
  Upload(asio::any_io_executor executor, UploadContext& context, const Source& source, Job job,
         const ShareLayout& layout)
      : executor_(executor),
        context_(context),
        source_(source),
        job_(std::move(job)),
        share_size_(
            layout.share_length(job_.ueb.empty() ? ueb_length(job_.geometry) : job_.ueb.size())),
        header_(serialize_header(layout)),
        homes_(executor, context, job_.si, share_size_, header_, job_.distrusted),
        patience_(context.limits.send.least_deadline, context.limits.send.deadline * 4),
        background_(executor) {}

  Task<Result<EncodedFile>> run() {
    auto result = co_await place_and_send();
    // Also when cancelled: what was allocated is given back.
    if (!result) co_await shielded(abort_all());
    background_.cancel();
    co_await background_.join();
    co_return result;
  }

  // It failed because another upload of the same file may be under way.
  bool contended() const { return !sent_anything_ && homes_.plan().contended(); }

  UploadReport report() const {
    UploadReport out = report_;
    out.happiness = homes_.plan().happiness();
    std::set<ShareNo> there;
    for (ServerNo i = 0; i < homes_.asked(); ++i) {
      for (auto share : homes_.plan().existing(i)) {
        if (!sent_.contains({i, share})) there.insert(share);
        out.servers[share].insert(homes_.home(i).known.id);
      }
    }
    out.shares_found = there.size();
    out.shares_sent = sent_.size();
    return out;
  }

 private:
  using Grant = UploadHomes::Grant;
  struct Sending {
    ServerNo server;
    std::unique_ptr<ShareWriter> writer;
    bool given_up = false;
  };

  Task<Result<EncodedFile>> place_and_send() {
    CO_TRY_DO(co_await homes_.find());
    homes_.tidy(background_);
    std::optional<EncodedFile> file;
    // A repair that finds nothing to do: there is no hash that only encoding would give.
    if (!job_.ueb.empty() && homes_.plan().to_send().empty()) co_return EncodedFile();
    while (true) {
      CO_TRY(encoded, co_await send_all(file));
      if (encoded) file = std::move(encoded);
      if (homes_.plan().complete()) break;
      const bool more = co_await homes_.find_more();
      const bool stop = co_await stop_requested();
      if (stop) co_return fail(Errc::cancelled, "upload");
      if (!more) break;
      report_.shares_replaced += homes_.plan().to_send().size();
    }
    if (!homes_.plan().happy()) co_return std::unexpected(homes_.plan().complaint());
    if (!file) co_return fail(Errc::internal, "an upload that encoded nothing");
    co_await wait_for_background();
    co_return std::move(*file);
  }

  // --- one pass over the source

  // To all that have granted room and have not got their share yet. Nothing when all of them failed
  // before the end.
  Task<Result<std::optional<EncodedFile>>> send_all(const std::optional<EncodedFile>& before) {
    start_writers();
    CO_TRY(source, co_await source_for(before));
    CO_TRY(encoder, FileEncoder::make(job_.geometry, source.key));
    const SegmentSink sink = [this](const EncodedSegment& segment) { return take(segment); };
    first_pass_ = !before;
    const auto* expected = job_.contents ? &*job_.contents : nullptr;
    auto file = co_await encode_file(*encoder, source.source, context_.pool, sink, expected);
    if (source.file) co_await shielded(source.file->close());
    if (!file && nobody_left_) {
      co_await settle();
      co_return std::optional<EncodedFile>();
    }
    if (!file) co_return std::unexpected(std::move(file).error());
    CO_TRY_DO(keep_ueb(*file));
    if (before && before->ueb_hash != file->ueb_hash) {
      co_return source_changed();
    }
    TaskGroup finishing(executor_);
    for (auto& sending : sending_) finishing.spawn(finish_share(sending, *file));
    co_await finishing.join();
    CO_TRY_DO(co_await drop_failed());
    co_await settle();
    co_return std::optional(std::move(*file));
  }

  struct PassSource {
    Source source;
    std::optional<Key16> key;
    std::shared_ptr<ImmutableFile> file;  // to be closed afterwards
  };

  // A source that could be read only once is read back from the shares that are there.
  Task<Result<PassSource>> source_for(const std::optional<EncodedFile>& before) {
    if (!source_.once || !source_spent_) {
      source_spent_ = true;
      co_return PassSource{source_, job_.key, nullptr};
    }
    if (!before) co_return std::unexpected(homes_.plan().complaint());
    const auto& g = job_.geometry;
    const ChkVerifyCap cap{job_.si, before->ueb_hash, g.k, g.n, g.size};
    auto file = std::make_shared<ImmutableFile>(executor_, context_.roster, context_.pool, cap);
    Source source{.size = g.size, .read = [file, g](std::uint64_t offset, MutableBytes out) {
                    return read_segments(file, g, offset, out);
                  }};
    co_return PassSource{std::move(source), std::nullopt, file};
  }

  // A repaired file keeps its UEB, byte for byte: what it says of the hashes must be true.
  Result<> keep_ueb(EncodedFile& file) const {
    if (job_.ueb.empty() || job_.ueb == file.ueb) return {};
    TRY(original, Ueb::parse(job_.ueb));
    if (original.ciphertext_root != file.ciphertext_tree[0] ||
        original.share_root != file.share_tree[0]) {
      return fail(Errc::corrupt, "the shares made anew are not those of the file");
    }
    file.ueb = job_.ueb;
    file.ueb_hash = ueb_hash(job_.ueb);
    return {};
  }

  void start_writers() {
    auto limits = context_.limits.send;
    const auto targets = homes_.plan().to_send();
    const auto each = limits.memory / std::max<std::size_t>(1, targets.size());
    // Many shares share the memory that a usual number of them takes.
    limits.piece = std::clamp<std::uint64_t>(
        each / 3, std::min<std::uint64_t>(64 << 10, limits.piece), limits.piece);
    sending_.clear();
    nobody_left_ = false;
    for (auto& [share, server] : targets) {
      const auto& home = homes_.home(server);
      ShareWriter::Target target{home.known.server, job_.si,     share,
                                 home.secret,       share_size_, homes_.written({server, share})};
      auto writer =
          std::make_unique<ShareWriter>(executor_, std::move(target), patience_, limits, each);
      sending_.push_back({server, std::move(writer)});
    }
  }

  Task<Result<>> take(const EncodedSegment& segment) {
    if (context_.keep) context_.keep(job_.geometry, segment.number, segment.ciphertext());
    sent_anything_ = sent_anything_ || !sending_.empty();
    for (auto& sending : sending_) {
      if (sending.writer->error()) continue;
      if (segment.number.value == 0) (void)co_await sending.writer->append(header_);
      (void)co_await sending.writer->append(segment.block(sending.writer->number()));
    }
    CO_TRY_DO(co_await drop_failed());
    nobody_left_ = !sending_.empty() &&
                   std::ranges::all_of(sending_, [](const Sending& s) { return s.given_up; });
    // A source that cannot be read again is encoded to its end, for its hashes, in vain.
    if (nobody_left_) co_return fail(Errc::unreachable, "all servers that were written to");
    const auto& g = job_.geometry;
    if (context_.progress && first_pass_) {
      context_.progress(g.segment_offset(segment.number) + segment.length, g.size);
    }
    co_return Result<>{};
  }

  // Servers that failed while we sent do not count any more (10.5).
  Task<Result<>> drop_failed() {
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled, "upload");
    for (auto& sending : sending_) {
      if (!sending.writer->error() || sending.given_up) continue;
      sending.given_up = true;
      homes_.plan().lost(sending.server, sending.writer->number(), *sending.writer->error());
    }
    if (!homes_.hopeful()) co_return std::unexpected(homes_.plan().complaint());
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

  // The pass is over: what is complete is kept, what failed leaves nothing half-written behind.
  Task<> settle() {
    for (auto& sending : sending_) {
      const Grant grant{sending.server, sending.writer->number()};
      report_.bytes_sent += sending.writer->sent();
      if (sending.writer->complete()) {
        homes_.plan().completed(grant.first, grant.second);
        sent_.insert(grant);
        continue;
      }
      failed_.insert(grant);
      // It may be the server's silence that we wait for.
      auto writer = std::shared_ptr<ShareWriter>(std::move(sending.writer));
      background_.spawn(
          [](std::shared_ptr<ShareWriter> w) -> Task<> { co_await w->abort(); }(std::move(writer)));
    }
    sending_.clear();
    co_return;
  }

  // Aborts and renewals get a moment, but nobody waits long for a silent server.
  Task<> wait_for_background() {
    const auto deadline = Clock::now() + std::chrono::seconds(2);
    while (background_.running() > 0 && Clock::now() < deadline) {
      co_await background_.wait_one(deadline);
      const bool stopped = co_await stop_requested();
      if (stopped) break;
    }
  }

  Task<> abort_all() {
    TaskGroup aborting(executor_);
    std::set<Grant> seen = failed_;
    for (auto& sending : sending_) {
      seen.emplace(sending.server, sending.writer->number());
      aborting.spawn(sending.writer->abort());
    }
    co_await homes_.give_back(std::move(seen));
    co_await aborting.join();
    co_await wait_for_background();
  }

  asio::any_io_executor executor_;
  UploadContext& context_;
  const Source& source_;
  Job job_;
  std::uint64_t share_size_;
  Bytes header_;
  UploadHomes homes_;
  SendPatience patience_;
  std::vector<Sending> sending_;  // of this pass
  std::set<Grant> sent_;
  std::set<Grant> failed_;
  UploadReport report_;
  bool source_spent_ = false;
  bool sent_anything_ = false;
  bool first_pass_ = true;
  bool nobody_left_ = false;
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
  CO_TRY(layout, ShareLayout::make(geometry));
  std::optional<SourceSum> contents;
  if (!key) {
    if (source.once) co_return fail(Errc::bad_argument, "a pipe that is to be read twice");
    CO_TRY(made,
           co_await convergent_key(source, geometry, context.convergence_secret, context.pool));
    key = made.key;
    contents = std::move(made.contents);
  }
  auto executor = co_await asio::this_coro::executor;
  // Two writers of the same content meet at the same storage index: one sends, the other waits and
  // then finds the shares there.
  const auto patience_ends = Clock::now() + context.limits.contention;
  for (auto wait = std::chrono::milliseconds(20);; wait = std::min(2 * wait, longest_wait)) {
    Job job{.geometry = geometry,
            .si = storage_index_of(*key),
            .key = *key,
            .ueb = {},
            .distrusted = {},
            .contents = contents};
    auto attempt = std::make_unique<Upload>(executor, context, source, std::move(job), layout);
    auto file = co_await attempt->run();
    if (file) {
      const auto& g = geometry;
      UploadResult out{Cap(ChkCap{*key, file->ueb_hash, g.k, g.n, g.size}), attempt->report()};
      co_return out;
    }
    const bool stop = co_await stop_requested();
    if (stop || !attempt->contended() || Clock::now() + wait > patience_ends) {
      co_return std::unexpected(std::move(file).error());
    }
    // Both may have given way to each other: whoever comes back first is to find the way free.
    co_await sleep_for(wait / 2 + wait * random_array<1>()[0] / 512);
  }
}

Task<Result<UploadReport>> repair_immutable(UploadContext context, ChkVerifyCap cap,
                                            DistrustedShares distrusted) {
  auto executor = co_await asio::this_coro::executor;
  auto file = std::make_shared<ImmutableFile>(executor, context.roster, context.pool, cap);
  auto geometry = co_await file->geometry();
  if (!geometry) {
    co_await shielded(file->close());
    co_return std::unexpected(std::move(geometry).error());
  }
  const auto g = *geometry;
  context.encoding.k = g.k;
  context.encoding.n = g.n;
  // Whatever is reached is better than what there was: but no server is left out for being slow.
  context.encoding.happy = 0;
  context.limits.stragglers = context.limits.survey;
  Job job{.geometry = g,
          .si = cap.storage_index,
          .key = std::nullopt,
          .ueb = file->ueb(),
          .distrusted = std::move(distrusted)};
  Source source{.size = g.size, .read = [file, g](std::uint64_t offset, MutableBytes out) {
                  return read_segments(file, g, offset, out);
                }};
  Result<UploadReport> out;
  auto layout = ShareLayout::make(g);
  if (layout) {
    auto attempt = std::make_unique<Upload>(executor, context, source, std::move(job), *layout);
    auto encoded = co_await attempt->run();
    if (encoded) {
      out = attempt->report();
    } else {
      out = std::unexpected(std::move(encoded).error());
    }
  } else {
    out = std::unexpected(std::move(layout).error());
  }
  co_await shielded(file->close());
  co_return out;
}

}  // namespace lafs::grid
