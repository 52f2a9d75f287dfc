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

}  // namespace

Dispatch::Dispatch(asio::any_io_executor executor, fs::Filesystem& filesystem, Timeouts timeouts)
    : filesystem_(filesystem), timeouts_(timeouts), held_(filesystem), running_(executor) {}

void Dispatch::begin(Buffer buffer, ByteView request) {
  current_ = std::move(buffer);
  raw_.look_at(request);
}

bool Dispatch::full() const {
  return running_.running() >= most_requests || payload_bytes_ >= most_payload;
}

Task<> Dispatch::close() {
  co_await running_.join();
  co_await held_.give_back_all();
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
    self(r).held_.forget({node}, references);
    fuse_reply_none(r);
  }
  static void forget_multi(fuse_req_t r, std::size_t count, fuse_forget_data* what) {
    for (std::size_t i = 0; i < count; ++i) self(r).held_.forget({what[i].ino}, what[i].nlookup);
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
  // The grid has no hard links. EPERM is what link(2) says of such filesystems.
  static void link(fuse_req_t r, fuse_ino_t, fuse_ino_t, const char*) {
    self(r).reply(r, "link").error(EPERM);
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
  static void flush(fuse_req_t r, fuse_ino_t, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.flush(d.reply(r, "flush"), handle(info)));
  }
  static void fsync(fuse_req_t r, fuse_ino_t, int data_only, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.fsync(d.reply(r, "fsync"), handle(info), data_only != 0));
  }
  static void release(fuse_req_t r, fuse_ino_t, fuse_file_info* info) {
    auto& d = self(r);
    d.spawn(d.release(d.reply(r, "release"), handle(info)));
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
// (default_permissions), file locks, lseek for holes, copy_file_range, fallocate, poll, bmap.
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
    return o;
  }();
  return table;
}

}  // namespace lafs::fuse
