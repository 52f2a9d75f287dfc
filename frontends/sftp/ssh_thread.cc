// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/ssh_thread.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>

#include <algorithm>

#include "grid/base/base32.h"
#include "grid/base/log.h"

// libssh calls parts of its message interface deprecated, but its callbacks cannot do
// keyboard-interactive logins.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lafs::sftp {
namespace {

constexpr std::size_t write_max = 256 * 1024;     // to libssh at once
constexpr std::size_t receive_max = 1024 * 1024;  // before something is sent again
constexpr auto goodbye_limit = std::chrono::seconds(3);
constexpr auto tick = std::chrono::seconds(1);

int nothing_to_do(socket_t, int, void* wake) {
  static_cast<WakeFd*>(wake)->clear();
  return 0;
}

std::string text_of(const char* text) { return text ? text : ""; }

}  // namespace

SshThread::SshThread(ssh_session session, Desk desk, Options options)
    : session_(session),
      desk_(std::move(desk)),
      options_(std::move(options)),
      heard_at_(Clock::now()),
      asked_at_(heard_at_) {}

SshThread::~SshThread() { ssh_free(session_); }

void SshThread::stop(std::string reason) {
  {
    std::lock_guard lock(mutex_);
    if (stop_by_) return;
    stop_reason_ = std::move(reason);
    stop_by_ = Clock::now() + goodbye_limit;
  }
  wake_->wake();
}

void SshThread::run() {
  ssh_set_message_callback(session_, on_message, this);
  ssh_set_auth_methods(
      session_, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE);
  uint64_t bytes = options_.rekey_bytes;
  uint32_t seconds = options_.rekey_seconds;
  ssh_options_set(session_, SSH_OPTIONS_REKEY_DATA, &bytes);
  ssh_options_set(session_, SSH_OPTIONS_REKEY_TIME, &seconds);
  if (ssh_handle_key_exchange(session_) == SSH_OK) {
    serve();
  } else {
    log::debug(std::string("sftp: no key exchange: ") + ssh_get_error(session_));
  }
  // The channels go with the session: closing each of them now would be in the way of goodbye.
  for (auto& channel : channels_)
    if (channel.pipe) channel.pipe->broken();
  channels_.clear();
  std::string reason;
  {
    std::lock_guard lock(mutex_);
    reason = stop_reason_;
  }
  if (hang_up_) reason = "Too many authentication failures";
  if (!reason.empty()) ssh_session_set_disconnect_message(session_, reason.c_str());
  ssh_disconnect(session_);
}

void SshThread::serve() {
  ssh_event event = ssh_event_new();
  ssh_event_add_session(event, session_);
  ssh_event_add_fd(event, wake_->fd(), POLLIN, nothing_to_do, wake_.get());
  // Whatever is to be sent is written without waiting for the socket.
  ssh_set_blocking(session_, 0);
  while (!hang_up_ && !stopping() && alive()) {
    bool moved = false;
    for (auto at = channels_.begin(); at != channels_.end();) {
      auto& channel = *at;
      if (channel.pipe) {
        const bool received = receive(channel), sent = send(channel);
        moved = moved || received || sent;
        complain(channel);
      }
      if (!ended(channel)) {
        ++at;
        continue;
      }
      ssh_channel_free(channel.channel);
      at = channels_.erase(at);
    }
    const auto wait = moved ? Duration::zero() : Duration(tick);
    const int milliseconds =
        static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(wait).count());
    if (ssh_event_dopoll(event, milliseconds) == SSH_ERROR || !ssh_is_connected(session_)) break;
  }
  // libssh writes only after it has been told that the socket takes it: so it is ready for goodbye.
  ssh_event_dopoll(event, 0);
  ssh_event_remove_fd(event, wake_->fd());
  ssh_event_remove_session(event, session_);
  ssh_event_free(event);
}

// True when it is time to go: a stop was asked for and all that was queued is out, or is late.
bool SshThread::stopping() {
  {
    std::lock_guard lock(mutex_);
    if (!stop_by_) return false;
    if (Clock::now() >= *stop_by_) return true;
  }
  return !(ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) &&
         std::ranges::all_of(channels_, [](Channel& channel) {
           return !channel.pipe ||
                  (channel.piece >= channel.sending.size() && !channel.pipe->take(channel.sending));
         });
}

// Asks a client that says nothing whether it is still there.
bool SshThread::alive() {
  const auto now = Clock::now();
  if (!authenticated_ || now - std::max(heard_at_, asked_at_) < options_.keepalive) return true;
  if (unanswered_ >= options_.keepalives) {
    log::info("sftp: a client does not answer any more");
    return false;
  }
  ++unanswered_;
  asked_at_ = now;
  return ssh_send_keepalive(session_) == SSH_OK;
}

// What came over the network goes to the pipe, as far as it has room.
bool SshThread::receive(Channel& channel) {
  std::size_t total = 0;
  while (!channel.input_ended && total < receive_max) {
    const auto space = channel.pipe->space();
    if (space.empty()) break;
    const int n = ssh_channel_read_nonblocking(channel.channel, space.data(),
                                               static_cast<uint32_t>(space.size()), 0);
    if (n > 0) {
      channel.pipe->filled(static_cast<std::size_t>(n));
      total += static_cast<std::size_t>(n);
      continue;
    }
    if (ssh_channel_is_eof(channel.channel) || ssh_channel_is_closed(channel.channel)) {
      channel.input_ended = true;
      channel.pipe->end_of_input();
    }
    break;
  }
  if (total > 0) {
    heard_at_ = Clock::now();
    unanswered_ = 0;
  }
  return total > 0;
}

// Copies pieces together, so that a small head does not become an SSH packet of its own.
bool SshThread::send(Channel& channel) {
  if (channel.piece >= channel.sending.size()) {
    channel.sending.clear();
    channel.piece = 0;
    if (!channel.pipe->take(channel.sending)) return false;
  }
  // libssh keeps what the socket does not take: not more than one helping of it.
  if (ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) return false;
  const std::size_t most =
      std::min<std::size_t>(ssh_channel_window_size(channel.channel), write_max);
  if (most == 0) return false;
  scratch_.clear();
  auto piece = channel.piece;
  auto at = channel.at;
  while (piece < channel.sending.size() && scratch_.size() < most) {
    const auto& [head, body] = channel.sending[piece];
    for (const auto* part : {&head, &body}) {
      const auto skip = std::min(at, part->size());
      at -= skip;
      const auto take = std::min(part->size() - skip, most - scratch_.size());
      append(scratch_, ByteView(*part).subspan(skip, take));
    }
    at = 0;
    ++piece;
  }
  const int n =
      ssh_channel_write(channel.channel, scratch_.data(), static_cast<uint32_t>(scratch_.size()));
  if (n <= 0) return false;
  channel.pipe->sent(static_cast<std::size_t>(n));
  channel.at += static_cast<std::size_t>(n);
  while (channel.piece < channel.sending.size()) {
    auto& done = channel.sending[channel.piece];
    const auto size = done.head.size() + done.body.size();
    if (channel.at < size) break;
    channel.at -= size;
    done = {};
    ++channel.piece;
  }
  return true;
}

void SshThread::complain(Channel& channel) {
  const auto text = channel.pipe->take_complaints();
  if (!text.empty())
    ssh_channel_write_stderr(channel.channel, text.data(), static_cast<uint32_t>(text.size()));
}

// True when the channel has served its purpose; then it has been closed.
bool SshThread::ended(Channel& channel) {
  if (ssh_channel_is_closed(channel.channel)) {
    if (channel.pipe) channel.pipe->broken();
    return true;
  }
  if (!channel.pipe || channel.piece < channel.sending.size()) return false;
  if (channel.pipe->is_cut()) {
    ssh_channel_close(channel.channel);
    return true;
  }
  const auto status = channel.pipe->finished();
  if (!status) return false;
  ssh_channel_request_send_exit_status(channel.channel, *status);
  ssh_channel_send_eof(channel.channel);
  ssh_channel_close(channel.channel);
  return true;
}

int SshThread::on_message(ssh_session, ssh_message message, void* self) {
  auto& thread = *static_cast<SshThread*>(self);
  thread.heard_at_ = Clock::now();
  thread.unanswered_ = 0;
  return thread.answer(message) ? 0 : 1;
}

bool SshThread::answer(ssh_message message) {
  switch (ssh_message_type(message)) {
    case SSH_REQUEST_SERVICE:
      return ssh_message_service_reply_success(message) == SSH_OK;
    case SSH_REQUEST_AUTH:
      return !authenticated_ && !hang_up_ && authenticate(message);
    case SSH_REQUEST_CHANNEL_OPEN:
      return authenticated_ && open_channel(message);
    case SSH_REQUEST_CHANNEL:
      return authenticated_ && channel_request(message);
    default:
      return false;  // forwarding, and whatever else
  }
}

// ------------------------------------------------------------------------ logging in

bool SshThread::authenticate(ssh_message message) {
  const auto account = text_of(ssh_message_auth_user(message));
  switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
      return let_in(message, desk_.password(account, text_of(ssh_message_auth_password(message))));
    case SSH_AUTH_METHOD_INTERACTIVE: {
      if (!ssh_message_auth_kbdint_is_response(message)) {
        asked_account_ = account;  // the response does not say it again
        const char* prompts[] = {"Password: "};
        char echo[] = {0};
        return ssh_message_auth_interactive_request(message, "", "", 1, prompts, echo) == SSH_OK;
      }
      if (ssh_userauth_kbdint_getnanswers(session_) != 1) return let_in(message, false);
      return let_in(message, desk_.password(asked_account_,
                                            text_of(ssh_userauth_kbdint_getanswer(session_, 0))));
    }
    case SSH_AUTH_METHOD_PUBLICKEY: {
      char* base64_text = nullptr;
      const ssh_key offered = ssh_message_auth_pubkey(message);
      if (!offered || ssh_pki_export_pubkey_base64(offered, &base64_text) != SSH_OK) return false;
      fs::PublicKey key;
      key.type = text_of(ssh_key_type_to_char(ssh_key_type(offered)));
      key.blob = from_base64(base64_text).value_or(Bytes{});
      ssh_string_free_char(base64_text);
      switch (ssh_message_auth_publickey_state(message)) {
        case SSH_PUBLICKEY_STATE_NONE:
          if (++asked_ > options_.key_questions) hang_up_ = true;
          return !hang_up_ && desk_.key(account, key, false) &&
                 ssh_message_auth_reply_pk_ok_simple(message) == SSH_OK;
        case SSH_PUBLICKEY_STATE_VALID:
          return let_in(message, desk_.key(account, key, true));
        default:
          desk_.refused(account, "a bad signature");
          return let_in(message, false);
      }
    }
    default:
      return false;  // "none": the answer says what there is
  }
}

bool SshThread::let_in(ssh_message message, bool good) {
  if (good) {
    authenticated_ = true;
    return ssh_message_auth_reply_success(message, 0) == SSH_OK;
  }
  if (++failed_ >= options_.attempts) hang_up_ = true;
  return false;
}

// ------------------------------------------------------------------------ channels

bool SshThread::open_channel(ssh_message message) {
  if (ssh_message_subtype(message) != SSH_CHANNEL_SESSION || channels_.size() >= options_.channels)
    return false;
  const ssh_channel channel = ssh_message_channel_request_open_reply_accept(message);
  if (!channel) return false;
  channels_.push_back({.channel = channel, .pipe = nullptr, .sending = {}});
  return true;
}

bool SshThread::channel_request(ssh_message message) {
  const auto found =
      std::ranges::find(channels_, ssh_message_channel_request_channel(message), &Channel::channel);
  if (found == channels_.end()) return false;
  Program program;
  switch (ssh_message_subtype(message)) {
    case SSH_CHANNEL_REQUEST_ENV:
      return ssh_message_channel_request_reply_success(message) == SSH_OK;  // and forgotten
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
      if (text_of(ssh_message_channel_request_subsystem(message)) != "sftp") return false;
      break;
    case SSH_CHANNEL_REQUEST_EXEC:
      program.kind = Program::Kind::command;
      program.command = text_of(ssh_message_channel_request_command(message));
      if (!desk_.may_run(program.command)) return false;
      break;
    default:
      return false;  // no shell, no terminal, no forwarding
  }
  if (found->pipe) return false;  // one program for each channel
  found->pipe = desk_.start(std::move(program), [wake = wake_] { wake->wake(); });
  return found->pipe && ssh_message_channel_request_reply_success(message) == SSH_OK;
}

}  // namespace lafs::sftp
