// SPDX-License-Identifier: Apache-2.0

// Session: the data connection, and what goes out over it.

#include "frontends/ftp/ascii.h"
#include "frontends/ftp/checksum.h"
#include "frontends/ftp/convert.h"
#include "frontends/ftp/upload.h"
#include "grid/base/log.h"
#include "grid/base/process_metrics.h"

namespace lafs::ftp {

namespace {
constexpr std::size_t data_buffer = 256 * 1024;
constexpr std::uint32_t read_block = 256 * 1024;
constexpr std::uint32_t hash_block = 1 << 20;
}  // namespace

// Runs beside the lines, and always ends with one reply.
Task<> Session::transfer(Step step) {
  const bool upload =
      step.what == Do::store || step.what == Do::append || step.what == Do::store_unique;
  std::optional<Reply> outcome;
  moving_.spawn(move(std::move(step), &outcome));
  co_await moving_.join();
  Reply answer;
  // Whatever has to be finished is finished out of reach of ABOR.
  if (upload)
    answer = co_await finish_upload(std::move(outcome));
  else if (outcome)
    answer = std::move(*outcome);
  co_await close_data(false);
  passive_.reset();
  control_.data_used();
  metrics::of_process()
      .counter("lafs_ftp_transfers_total", "Data connections of FTP sessions.",
               {{"direction", upload ? "up" : "down"},
                {"outcome", answer.code < 400 ? "done" : "failed"}})
      .add();
  if (aborted_ && answer.code >= 400) answer = {426, "Transfer aborted."};
  if (stalled_ && answer.code == 426)
    answer.text = "The data connection stood still for too long; transfer aborted.";
  idle_since_ = Clock::now();
  co_await reply(std::move(answer));
}

Task<> Session::move(Step step, std::optional<Reply>* outcome) {
  switch (step.what) {
    case Do::retrieve:
      *outcome = co_await retrieve(std::move(step));
      break;
    case Do::store:
    case Do::append:
    case Do::store_unique:
      *outcome = co_await store(std::move(step));
      break;
    case Do::hash:
    case Do::digest:
      *outcome = co_await digest(std::move(step));
      break;
    default:
      *outcome = co_await send_listing(std::move(step));
  }
}

// ------------------------------------------------------------------------------ data connection

Task<std::optional<Reply>> Session::open_data(std::string what, bool download) {
  const auto limit = shared_.options.connect_limit;
  const auto target = control_.active_target();
  Result<Socket> socket = fail(Errc::unreachable);
  if (target)
    socket = co_await connect_data(own_, *target, limit);
  else if (passive_)
    socket = co_await passive_->accept(peer_, limit);
  if (!socket) co_return Reply{425, "Failed to establish connection."};
  tune_for_bulk(*socket);
  data_ = std::make_unique<Stream>(std::move(*socket), data_buffer);
  co_await say(150, std::move(what));
  if (!control_.protects_data()) co_return std::nullopt;
  auto tls = shared_.tls->accept(id_, download);
  auto done = co_await within(limit, "TLS handshake on the data connection",
                              data_->start_tls(std::move(tls)));
  if (!done) {
    log::info("ftp: " + peer_.text() + ": " + done.error().message());
    co_return Reply{425, "TLS negotiation on the data connection failed."};
  }
  if (shared_.options.require_resumed && !resumed(data_->tls(), id_))
    co_return Reply{425,
                    "The data connection must resume the TLS session of the control connection."};
  co_return std::nullopt;
}

Task<> Session::close_data(bool orderly) {
  if (!data_) co_return;
  if (orderly) co_await data_->finish();
  // moving_ may still use it when this is not the end of it; then it has been closed by abort().
  data_->close();
  if (!moving_.running()) data_.reset();
}

Task<bool> Session::send_data(ByteView bytes) {
  auto done = co_await data_->write(bytes);
  if (done) {
    moved_ += bytes.size();
    shared_.sent += bytes.size();
  }
  co_return done.has_value();
}

// ------------------------------------------------------------------------------ RETR

Task<Reply> Session::retrieve(Step step) {
  if (names_partial(step.path)) co_return Reply{550, "No such file or directory."};
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  if (!node->is(fs::Kind::file)) co_return Reply{550, "Not a plain file."};
  OpenFile file(files());
  const fs::OpenFlags reading{.read = true};
  auto opened = co_await file.open(node->id(), reading);
  if (!opened) co_return failed(opened.error(), step.path);
  // The version that was opened is the one that is sent, whatever comes meanwhile.
  const auto size = file.attributes().size;
  Reply answer{554, "The restart position is behind the end of the file."};
  if (control_.is_ascii() || step.range.begin <= size)
    answer = co_await send_file(file.id(), step.range, size);
  co_await file.close();
  co_return answer;
}

Task<Reply> Session::send_file(fs::HandleId handle, Range range, std::uint64_t size) {
  const bool ascii = control_.is_ascii();
  auto trouble =
      co_await open_data(std::string("Opening ") + (ascii ? "ASCII" : "BINARY") +
                             " mode data connection (" + std::to_string(size) + " bytes).",
                         true);
  if (trouble) co_return std::move(*trouble);
  // Positions of TYPE A are those of the wire: what is before them is read, and left out.
  ToWire to_wire(range.begin);
  Bytes wire;
  std::uint64_t at = ascii ? 0 : range.begin;
  std::uint64_t left = ascii ? UINT64_MAX : size;
  if (range.end) left = ascii ? *range.end - range.begin : std::min(size, *range.end);
  if (!ascii) left -= std::min(left, at);
  while (left && at < size) {
    const auto wanted =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(ascii ? read_block : left, read_block));
    auto piece = co_await files().read(handle, at, wanted);
    if (!piece) {
      co_await close_data(false);
      co_return failed(piece.error(), "RETR");
    }
    if (piece->empty()) break;  // it became shorter
    at += piece->size();
    ByteView out = *piece;
    if (ascii) {
      to_wire.translate(*piece, wire);
      out = wire;
    }
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left)));
    left -= out.size();
    const bool sent = co_await send_data(out);
    if (!sent) co_return Reply{426, "Failure writing network stream."};
  }
  co_await close_data(true);
  co_return Reply{226, "Transfer complete."};
}

// ------------------------------------------------------------------------------ HASH, XMD5 ...

Task<Reply> Session::digest(Step step) {
  if (names_partial(step.path)) co_return Reply{550, "No such file or directory."};
  auto node = co_await walker().node(step.path);
  if (!node) co_return failed(node.error(), step.path);
  if (!node->is(fs::Kind::file)) co_return Reply{550, "Not a plain file."};
  OpenFile file(files());
  const fs::OpenFlags reading{.read = true};
  auto done = co_await file.open(node->id(), reading);
  if (!done) co_return failed(done.error(), step.path);
  const auto size = file.attributes().size;
  const auto end = std::min(size, step.range.end.value_or(size));
  Checksum checksum(step.text);
  auto at = step.range.begin;
  while (done && !aborted_ && at < end) {
    const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(hash_block, end - at));
    auto piece = co_await files().read(file.id(), at, wanted);
    if (!piece) {
      done = std::unexpected(std::move(piece.error()));
    } else if (piece->empty()) {
      break;
    } else {
      at += piece->size();
      moved_ += piece->size();
      auto update = [&checksum, &piece] { checksum.update(*piece); };
      co_await offload(shared_.pool, update);
    }
  }
  co_await file.close();
  if (aborted_) co_return Reply{426, "Aborted."};
  if (!done) co_return failed(done.error(), step.path);
  if (step.range.begin > size) co_return Reply{554, "The range begins behind the end of the file."};
  if (step.what == Do::digest) co_return Reply{250, checksum.hex()};
  co_return Reply{213, step.second + " " + std::to_string(step.range.begin) + "-" +
                           std::to_string(at) + " " + checksum.hex() + " " + step.name};
}

}  // namespace lafs::ftp
