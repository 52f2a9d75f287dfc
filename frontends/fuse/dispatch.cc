// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/dispatch.h"

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>

#include "frontends/fuse/convert.h"

namespace lafs::fuse {

namespace {

// Bounds on what one mount may have in flight. The kernel allows max_background of its own (reading
// ahead, releases) and one request for each process that waits.
constexpr std::size_t most_requests = 512;
constexpr std::uint64_t most_payload = 64 << 20;
constexpr unsigned max_background = 64;
constexpr unsigned max_write = 1 << 20;
// Below this, copying a write is cheaper than keeping the megabyte it came in.
constexpr std::size_t worth_keeping = 32 * 1024;
constexpr auto look_again = std::chrono::milliseconds(200);

}  // namespace

Dispatch::Dispatch(asio::any_io_executor executor, fs::Filesystem& filesystem, Timeouts timeouts,
                   Options options)
    : executor_(executor),
      filesystem_(filesystem),
      timeouts_(timeouts),
      options_(std::move(options)),
      held_(filesystem),
      held_locks_(filesystem.locks()),
      trimmer_(options_.most_held),
      running_(executor) {}

void Dispatch::begin(Buffer buffer, ByteView request) {
  current_ = std::move(buffer);
  raw_.look_at(request);
  if (const auto unique = raw_.interrupted(); unique && pending_.find(unique)) {
    spawn(watch_interrupted(unique));
  }
}

// Most signals are none of our business: a read from a file is not interrupted by a timer. But
// whoever is being killed must not wait for a server that does not answer. The kernel tells of the
// first signal only.
Task<> Dispatch::watch_interrupted(std::uint64_t unique) {
  for (;;) {
    auto* const reply = pending_.find(unique);
    if (!reply) co_return;
    if (is_being_killed(fuse_req_ctx(reply->request())->pid)) {
      reply->abandon();
      co_return;
    }
    co_await sleep_for(look_again);
    const bool stop = co_await stop_requested();
    if (stop) co_return;
  }
}

bool Dispatch::full() const {
  return running_.running() >= most_requests || payload_bytes_ >= most_payload;
}

Task<> Dispatch::close() {
  co_await running_.join();
  held_locks_.give_back_all();
  co_await held_.give_back_all();
}

void Dispatch::forget(fs::NodeId node, std::uint64_t references) {
  held_.forget(node, references);
  if (!held_.holds(node)) trimmer_.forgotten();
}

void Dispatch::referenced(const fs::Attributes& attributes, fs::NodeId parent,
                          const std::string& name) {
  held_.reference(attributes.id);
  if (!options_.let_go) return;
  trimmer_.told(attributes, parent, name);
  while (const auto old = trimmer_.next(held_.nodes())) {
    if (held_.holds(old->node) && !held_.is_open(old->node))
      options_.let_go(old->parent, old->name);
    else
      trimmer_.forgotten();
  }
}

Payload Dispatch::keep(ByteView bytes) {
  if (bytes.size() < worth_keeping || !current_) return Payload(to_bytes(bytes));
  return {buffers_, std::move(current_), bytes};
}

// libfuse's table. Each function copies what it is given and starts the coroutine of its name.
struct Callbacks {
  static Dispatch& self(fuse_req_t r) { return *static_cast<Dispatch*>(fuse_req_userdata(r)); }
  static fs::Caller caller(fuse_req_t r) {
    const auto* context = fuse_req_ctx(r);
    return {context->uid, context->gid};
  }
  static fs::HandleId handle(const fuse_file_info* info) { return {info->fh}; }

  static void init(void* user, fuse_conn_info* conn) {
    // Off: writeback cache (an extra SETATTR per file), all splicing (slower replies).
    conn->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_POSIX_ACL);
    conn->want |=
        conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
                         FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS);
    conn->max_write = max_write;
    conn->max_background = max_background;
    conn->congestion_threshold = max_background * 3 / 4;
    static_cast<Dispatch*>(user)->initialised_ = true;
  }

  static void lookup(fuse_req_t r, fuse_ino_t parent, const char* name) {
    auto& d = self(r);
    d.spawn(d.lookup(d.reply(r, "lookup"), {parent}, name));
  }
  static void forget(fuse_req_t r, fuse_ino_t node, std::uint64_t references) {
    self(r).forget({node}, references);
    fuse_reply_none(r);
  }
  static void forget_multi(fuse_req_t r, std::size_t count, fuse_forget_data* what) {
    for (std::size_t i = 0; i < count; ++i) self(r).forget({what[i].ino}, what[i].nlookup);
    fuse_reply_none(r);
  }
  static void getattr(fuse_req_t r, fuse_ino_t node, fuse_file_info*) {
    auto& d = self(r);
    d.spawn(d.getattr(d.reply(r, "getattr"), {node}));
  }
  static void setattr(fuse_req_t r, fuse_ino_t node, struct stat* wanted, int to_set,
                      fuse_file_info* info) {
    auto& d = self(r);
    std::optional<fs::HandleId> through;
    if (info) through = handle(info);
    d.spawn(d.setattr(d.reply(r, "setattr"), {node}, to_changes(*wanted, to_set), through,
                      d.raw_.clears_set_id()));
  }
  static void readlink(fuse_req_t r, fuse_ino_t node) {
    auto& d = self(r);
    d.spawn(d.readlink(d.reply(r, "readlink"), {node}));
  }
  static void mknod(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
    auto& d = self(r);
    d.spawn(d.mknod(d.reply(r, "mknod"), {parent}, name, mode, caller(r)));
  }
  static void mkdir(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode) {
    auto& d = self(r);
    d.spawn(d.mkdir(d.reply(r, "mkdir"), {parent}, name, mode, caller(r)));
  }
  static void unlink(fuse_req_t r, fuse_ino_t parent, const char* name) {
    auto& d = self(r);
    d.spawn(d.unlink(d.reply(r, "unlink"), {parent}, name));
  }
  static void rmdir(fuse_req_t r, fuse_ino_t parent, const char* name) {
    auto& d = self(r);
    d.spawn(d.rmdir(d.reply(r, "rmdir"), {parent}, name));
  }
  static void symlink(fuse_req_t r, const char* target, fuse_ino_t parent, const char* name) {
    auto& d = self(r);
    d.spawn(d.symlink(d.reply(r, "symlink"), {parent}, name, target, caller(r)));
  }
  static void rename(fuse_req_t r, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                     const char* new_name, unsigned flags) {
    auto& d = self(r);
    const auto mode = to_rename_mode(flags);
    if (!mode) return d.reply(r, "rename").error(EINVAL);
    d.spawn(d.rename(d.reply(r, "rename"), {parent}, name, {new_parent}, new_name, *mode));
  }
  static void link(fuse_req_t r, fuse_ino_t node, fuse_ino_t new_parent, const char* new_name) {
    auto& d = self(r);
    d.spawn(d.link(d.reply(r, "link"), {node}, {new_parent}, new_name));
  }

  static void create(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode,
                     fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.create(d.reply(r, "create"), {parent}, name, mode, info->flags, caller(r)));
  }
  static void open(fuse_req_t r, fuse_ino_t node, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.open(d.reply(r, "open"), {node}, info->flags, d.raw_.clears_set_id()));
  }
  static void read(fuse_req_t r, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.read(d.reply(r, "read"), handle(info), static_cast<std::uint64_t>(offset), size));
  }
  static void write(fuse_req_t r, fuse_ino_t node, const char* data, std::size_t size, off_t offset,
                    fuse_file_info* info) {
    auto& d = self(r);
    auto payload = d.keep({reinterpret_cast<const std::uint8_t*>(data), size});
    d.spawn(d.write(d.reply(r, "write"), {node}, handle(info), static_cast<std::uint64_t>(offset),
                    std::move(payload), info->writepage, d.raw_.clears_set_id()));
  }
  static void flush(fuse_req_t r, fuse_ino_t node, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.flush(d.reply(r, "flush"), {node}, handle(info), info->lock_owner));
  }
  static void fsync(fuse_req_t r, fuse_ino_t, int data_only, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.fsync(d.reply(r, "fsync"), handle(info), data_only != 0));
  }
  static void release(fuse_req_t r, fuse_ino_t node, fuse_file_info* info) {
    auto& d = self(r);
    std::optional<std::uint64_t> flock_owner;
    if (info->flock_release) flock_owner = info->lock_owner;
    d.spawn(d.release(d.reply(r, "release"), {node}, handle(info), flock_owner));
  }

  static fs::Lock record_lock(Dispatch& d, const fuse_file_info* info, const struct flock& wanted) {
    const auto begin = static_cast<std::uint64_t>(wanted.l_start);
    const auto length = static_cast<std::uint64_t>(wanted.l_len);
    return {.family = fs::LockFamily::record,
            .owner = d.held_locks_.owner(info->lock_owner),
            .exclusive = wanted.l_type == F_WRLCK,
            .range = {begin, length == 0 ? UINT64_MAX : begin + length},
            .pid = static_cast<std::uint32_t>(wanted.l_pid)};
  }
  static void getlk(fuse_req_t r, fuse_ino_t node, fuse_file_info* info, struct flock* wanted) {
    auto& d = self(r);
    d.spawn(d.getlk(d.reply(r, "getlk"), {node}, record_lock(d, info, *wanted)));
  }
  static void take_lock(fuse_req_t r, fuse_ino_t node, fuse_file_info* info, const fs::Lock& lock,
                        bool wait) {
    auto& d = self(r);
    std::shared_ptr<fs::LockWait> waiting;
    if (wait) {
      waiting = std::make_shared<fs::LockWait>(d.executor_);
      // The task keeps it for as long as the request is there to be interrupted.
      fuse_req_interrupt_func(
          r, [](fuse_req_t, void* of) { static_cast<fs::LockWait*>(of)->give_up(); },
          waiting.get());
    }
    d.spawn(d.setlk(d.reply(r, "setlk"), {node}, handle(info), lock, std::move(waiting)));
  }
  static void setlk(fuse_req_t r, fuse_ino_t node, fuse_file_info* info, struct flock* wanted,
                    int sleep) {
    auto& d = self(r);
    const auto lock = record_lock(d, info, *wanted);
    if (wanted->l_type == F_UNLCK) return d.unlock(d.reply(r, "setlk"), {node}, lock);
    take_lock(r, node, info, lock, sleep != 0);
  }
  static void flock(fuse_req_t r, fuse_ino_t node, fuse_file_info* info, int operation) {
    auto& d = self(r);
    const fs::Lock lock{.family = fs::LockFamily::whole_file,
                        .owner = d.held_locks_.owner(info->lock_owner),
                        .exclusive = (operation & LOCK_EX) != 0};
    if (operation & LOCK_UN) return d.unlock(d.reply(r, "flock"), {node}, lock);
    take_lock(r, node, info, lock, (operation & LOCK_NB) == 0);
  }

  static void lseek(fuse_req_t r, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
    auto& d = self(r);
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return d.reply(r, "lseek").error(EINVAL);
    d.spawn(d.lseek(d.reply(r, "lseek"), handle(info), static_cast<std::uint64_t>(offset),
                    whence == SEEK_DATA ? fs::SeekFor::data : fs::SeekFor::hole));
  }
  static void fallocate(fuse_req_t r, fuse_ino_t, int flags, off_t offset, off_t length,
                        fuse_file_info* info) {
    auto& d = self(r);
    const auto mode = to_allocate_mode(flags);
    if (!mode) return d.reply(r, "fallocate").error(EOPNOTSUPP);
    d.spawn(d.fallocate(d.reply(r, "fallocate"), handle(info), static_cast<std::uint64_t>(offset),
                        static_cast<std::uint64_t>(length), *mode));
  }
  static void copy_file_range(fuse_req_t r, fuse_ino_t, off_t offset, fuse_file_info* from,
                              fuse_ino_t, off_t to_offset, fuse_file_info* to, std::size_t length,
                              int) {
    auto& d = self(r);
    d.spawn(d.copy_file_range(d.reply(r, "copy_file_range"), handle(from),
                              static_cast<std::uint64_t>(offset), handle(to),
                              static_cast<std::uint64_t>(to_offset), length));
  }
  // Python asks each file that it opens whether it is a terminal.
  static void ioctl(fuse_req_t r, fuse_ino_t, unsigned, void*, fuse_file_info*, unsigned,
                    const void*, std::size_t, std::size_t) {
    self(r).reply(r, "ioctl").error(ENOTTY);
  }

  static void opendir(fuse_req_t r, fuse_ino_t node, fuse_file_info*) {
    auto& d = self(r);
    d.spawn(d.opendir(d.reply(r, "opendir"), {node}));
  }
  static void list(fuse_req_t r, fuse_ino_t node, std::size_t size, off_t offset,
                   fuse_file_info* info, bool plus) {
    auto& d = self(r);
    d.spawn(d.readdir(d.reply(r, "readdir"), {node}, handle(info), size,
                      static_cast<std::uint64_t>(offset), plus));
  }
  static void readdir(fuse_req_t r, fuse_ino_t node, std::size_t size, off_t offset,
                      fuse_file_info* info) {
    list(r, node, size, offset, info, false);
  }
  static void readdirplus(fuse_req_t r, fuse_ino_t node, std::size_t size, off_t offset,
                          fuse_file_info* info) {
    list(r, node, size, offset, info, true);
  }
  static void releasedir(fuse_req_t r, fuse_ino_t, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.releasedir(d.reply(r, "releasedir"), handle(info)));
  }
  static void fsyncdir(fuse_req_t r, fuse_ino_t node, int, fuse_file_info*) {
    auto& d = self(r);
    d.spawn(d.fsyncdir(d.reply(r, "fsyncdir"), {node}));
  }
  static void statfs(fuse_req_t r, fuse_ino_t) {
    auto& d = self(r);
    d.spawn(d.statfs(d.reply(r, "statfs")));
  }

  static void getxattr(fuse_req_t r, fuse_ino_t node, const char* name, std::size_t size) {
    auto& d = self(r);
    d.spawn(d.getxattr(d.reply(r, "getxattr"), {node}, name, size));
  }
  static void listxattr(fuse_req_t r, fuse_ino_t node, std::size_t size) {
    auto& d = self(r);
    d.spawn(d.listxattr(d.reply(r, "listxattr"), {node}, size));
  }
  static void setxattr(fuse_req_t r, fuse_ino_t node, const char* name, const char* value,
                       std::size_t size, int flags) {
    auto& d = self(r);
    d.spawn(d.setxattr(d.reply(r, "setxattr"), {node}, name,
                       to_bytes(std::string_view(value, size)), flags));
  }
  static void removexattr(fuse_req_t r, fuse_ino_t node, const char* name) {
    auto& d = self(r);
    d.spawn(d.removexattr(d.reply(r, "removexattr"), {node}, name));
  }
};

// Not there, and answered ENOSYS by libfuse, after which the kernel does it by itself: access
// (default_permissions), poll, bmap.
const fuse_lowlevel_ops& Dispatch::operations() {
  static const fuse_lowlevel_ops table = [] {
    fuse_lowlevel_ops o{};
    o.init = Callbacks::init;
    o.lookup = Callbacks::lookup;
    o.forget = Callbacks::forget;
    o.forget_multi = Callbacks::forget_multi;
    o.getattr = Callbacks::getattr;
    o.setattr = Callbacks::setattr;
    o.readlink = Callbacks::readlink;
    o.mknod = Callbacks::mknod;
    o.mkdir = Callbacks::mkdir;
    o.unlink = Callbacks::unlink;
    o.rmdir = Callbacks::rmdir;
    o.symlink = Callbacks::symlink;
    o.rename = Callbacks::rename;
    o.link = Callbacks::link;
    o.create = Callbacks::create;
    o.open = Callbacks::open;
    o.read = Callbacks::read;
    o.write = Callbacks::write;
    o.flush = Callbacks::flush;
    o.fsync = Callbacks::fsync;
    o.release = Callbacks::release;
    o.opendir = Callbacks::opendir;
    o.readdir = Callbacks::readdir;
    o.readdirplus = Callbacks::readdirplus;
    o.releasedir = Callbacks::releasedir;
    o.fsyncdir = Callbacks::fsyncdir;
    o.statfs = Callbacks::statfs;
    o.getxattr = Callbacks::getxattr;
    o.listxattr = Callbacks::listxattr;
    o.setxattr = Callbacks::setxattr;
    o.removexattr = Callbacks::removexattr;
    o.getlk = Callbacks::getlk;
    o.setlk = Callbacks::setlk;
    o.flock = Callbacks::flock;
    o.lseek = Callbacks::lseek;
    o.fallocate = Callbacks::fallocate;
    o.copy_file_range = Callbacks::copy_file_range;
    o.ioctl = Callbacks::ioctl;
    return o;
  }();
  return table;
}

}  // namespace lafs::fuse
