// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/mount.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <thread>

#include "frontends/fuse/dispatch.h"
#include "frontends/fuse/mountpoint.h"
#include "frontends/fuse/notifier.h"
#include "frontends/fuse/session.h"
#include "grid/base/log.h"

namespace lafs::fuse {

namespace {

constexpr std::string_view mount_type = "fuse.lafs";
// Requests taken before other tasks of this thread have a turn.
constexpr unsigned batch = 32;

std::vector<std::string> option_words(const MountOptions& options) {
  std::vector<std::string> words{"fsname=" + options.source, "subtype=lafs"};
  if (options.default_permissions) words.emplace_back("default_permissions");
  if (options.allow_other) words.emplace_back("allow_other");
  if (options.read_only) words.emplace_back("ro");
  words.insert(words.end(), options.extra.begin(), options.extra.end());
  return words;
}

// On its own thread: an unmount may wait for dirty pages, which we are to write.
void unmount_ours(const std::string& mountpoint, const std::optional<MountEntry>& ours) {
  const auto there = mounted_at(mountpoint);
  if (there && (!ours || *there == *ours)) {
    if (auto done = unmount(mountpoint, true); done) return;
  }
  // Gone already, or something else was mounted over it: then it can only be cut off.
  if (ours) sever_connection(*ours);
}

}  // namespace

struct Mount::State {
  State(asio::any_io_executor executor, fs::Filesystem& filesystem, MountOptions o)
      : options(std::move(o)),
        dispatch(executor, filesystem, options.timeouts,
                 {.sync_on_close = options.sync_on_close,
                  .node = options.node,
                  .let_go = [this](fs::NodeId parent,
                                   const std::string& name) { notifier.let_go(parent, name); }}),
        descriptor(executor),
        control(executor) {}

  MountOptions options;
  std::string mountpoint;
  Dispatch dispatch;
  std::unique_ptr<Session> session;
  Notifier notifier;  // ends before the session does
  fs::Observer observer{
      .entry_changed = [this](fs::NodeId parent, const std::string& name,
                              fs::NodeId) { notifier.entry_changed(parent, name); },
      .node_changed = [this](fs::NodeId node, bool bytes) { notifier.node_changed(node, bytes); }};
  asio::posix::stream_descriptor descriptor;  // the session's, which closes it
  std::optional<MountEntry> entry;            // none when /proc is not there
  std::thread unmounting;
  TaskGroup control;
  bool stopping = false;
  bool given_up = false;  // stop_grace is over
  bool ended = false;     // the kernel has no more requests
  bool read_ahead_set = false;

  // Not before INIT is answered: that lowers it to what the kernel started with.
  void set_read_ahead_once() {
    if (read_ahead_set || !dispatch.initialised()) return;
    read_ahead_set = true;
    if (entry && ::geteuid() == 0) set_read_ahead(*entry, options.read_ahead_kib);
  }

  // Takes what is there, up to a batch. How many there were.
  unsigned take_requests() {
    for (unsigned i = 0; i < batch; ++i) {
      const auto step = session->step();
      set_read_ahead_once();
      if (step == Session::Step::ended) ended = true;
      if (step != Session::Step::request) return i;
      if (dispatch.full()) return i + 1;
    }
    return batch;
  }

  Task<> give_up_later() {
    co_await sleep_for(options.stop_grace);
    const bool called_off = co_await stop_requested();
    if (called_off) co_return;
    log::warning("fuse: files are still open at " + mountpoint + ": cutting them off");
    given_up = true;
    dispatch.cancel();
    boost::system::error_code ignored;
    descriptor.cancel(ignored);
  }
};

Mount::Mount(asio::any_io_executor executor) : executor_(std::move(executor)) {}

Mount::~Mount() {
  if (!state_) return;
  state_->notifier.stop();
  state_->descriptor.release();
  state_->session.reset();
  if (state_->unmounting.joinable()) state_->unmounting.join();
}

Result<> Mount::start(fs::Filesystem& filesystem, const std::string& mountpoint,
                      MountOptions options) {
  assert(!state_ && "a Mount is started once");
  TRY(where, prepare_mountpoint(mountpoint, mount_type));
  auto state = std::make_unique<State>(executor_, filesystem, std::move(options));
  TRY(session, Session::start(state->dispatch, where, option_words(state->options)));
  state->mountpoint = std::move(where);
  state->session = std::move(session);
  state->entry = mounted_at(state->mountpoint);
  state->descriptor.assign(state->session->descriptor());
  state->notifier.start(state->session->handle());
  state_ = std::move(state);
  return {};
}

Task<> Mount::serve() {
  auto& s = *state_;
  const bool spins = std::thread::hardware_concurrency() > 1;
  auto last_request = Clock::now();
  while (!s.ended && !s.given_up) {
    const bool asked_to_stop = co_await stop_requested();
    if (asked_to_stop) stop();
    if (s.dispatch.full()) {
      co_await s.dispatch.wait_one();
      continue;
    }
    const auto some = s.take_requests();
    if (s.ended) break;
    if (some && s.options.served) s.options.served(some);
    const auto now = Clock::now();
    if (some) last_request = now;
    if (some || (spins && now - last_request < s.options.spin)) {
      // Waking from epoll on another CPU costs more than most requests: the next one is close.
      co_await asio::post(executor_, asio::use_awaitable);
      continue;
    }
    co_await s.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                     asio::as_tuple(asio::use_awaitable));
    last_request = Clock::now();
  }
  s.control.cancel();
  co_await s.control.join();
  co_await s.dispatch.close();
  s.notifier.stop();  // no request is left that its pages could wait for
  s.descriptor.release();
  if (s.stopping) s.session->abandon();  // something else may be mounted there by now
  s.session.reset();
  if (s.unmounting.joinable()) s.unmounting.join();  // nothing is left that it could wait for
}

void Mount::stop() {
  if (!state_) return;
  auto& s = *state_;
  if (s.stopping) return;
  s.stopping = true;
  if (s.ended || !s.session) return;
  s.unmounting = std::thread(unmount_ours, s.mountpoint, s.entry);
  s.control.spawn(s.give_up_later());
}

const fs::Observer& Mount::observer() const { return state_->observer; }

const std::string& Mount::mountpoint() const { return state_->mountpoint; }

}  // namespace lafs::fuse
