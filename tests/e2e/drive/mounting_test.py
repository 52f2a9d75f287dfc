#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How mounts begin and end: mount(8), fstab, systemd's protocol, several mounts of one daemon, the
control socket, and umount's promise that everything is on the grid.

usage: mounting_test.py LAFS MOUNT_HELPER [--only NAME]
"""
import argparse
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def run(*command, ok=True, timeout=120, env=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
    if ok and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done


def wait_for(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, "waited in vain: " + what)
        time.sleep(0.02)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read()


def json_names(node):
    return [line.split("/")[-1] for line in node("ls").stdout.split("\n") if line]


class Node:
    """A little grid, a node directory and two mountpoints."""

    def __init__(self, lafs, helper, work):
        self.lafs, self.helper, self.work = lafs, helper, work
        self.path = os.path.join(work, "node")
        self.grid = os.path.join(work, "grid")
        self.one, self.two = os.path.join(work, "one"), os.path.join(work, "two")
        os.mkdir(self.one)
        os.mkdir(self.two)
        self.servers("start", "--servers", "5")
        self("create-node", "--grid", os.path.join(self.grid, "servers.yaml"), "--shares", "3,4,5")

    def __call__(self, *words, ok=True, timeout=120):
        return run(self.lafs, "--node", self.path, *words, ok=ok, timeout=timeout)

    def servers(self, *words):
        run(self.lafs, "grid", *words, "--dir", self.grid)

    def status(self):
        done = self("status", "--json", ok=False)
        return json.loads(done.stdout)

    def ask(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(os.path.join(self.path, "control.sock"))
            s.sendall((request if isinstance(request, str) else json.dumps(request)).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                piece = s.recv(65536)
                if not piece:
                    break
                data += piece
        return [json.loads(line) for line in data.splitlines()]

    def daemon_ended(self):
        return self.status()["daemon"] is None

    def clear(self):
        """Ends what a case left, and empties the drive."""
        for path in (self.one, self.two):
            if os.path.ismount(path):
                self("umount", "--now", "--lazy", path, ok=False)
        wait_for(self.daemon_ended, "the daemon to end")
        self("rm", "-rf", *json_names(self), ok=False)


def case_mount_and_umount(node):
    node("mount", node.one)
    write(os.path.join(node.one, "f"), "content")
    node("umount", node.one)
    check(not os.path.ismount(node.one), "still mounted")
    check(node("cat", "f").stdout == "content", "umount returned before the file was on the grid")
    wait_for(node.daemon_ended, "the daemon to end")
    check(not os.path.exists(os.path.join(node.path, "control.sock")), "the socket is left")
    check(node("umount", node.one, ok=False).returncode == 3, "nothing to unmount is status 3")


def case_unknown_options_are_named(node):
    done = node("mount", "-o", "ro,turbo=7", node.one, ok=False)
    check(done.returncode == 2 and "turbo=7" in done.stderr, "the word is not named: " + done.stderr)
    check(not os.path.ismount(node.one), "mounted all the same")


def case_every_word_of_fstab_is_taken(node):
    words = ("rw,nofail,_netdev,auto,user,x-systemd.automount,x-gvfs-hide,noatime,nodev,nosuid,exec,"
             "sync,dirsync,relatime,lazytime,uid=1,gid=2,umask=022,fmask=0111,dmask=022,soft,"
             "attr_timeout=2,entry_timeout=2,negative_timeout=1,readahead=2M,default_permissions,"
             "durability=journal,timeout=30,write_back_delay=0.2,min_free=1M,cache_size=1G,"
             "cache_mode=full,fsname=my grid,subtype=lafs")
    node("mount", "-o", words, node.one)
    line = next(line for line in open("/proc/self/mountinfo") if node.one in line)
    check("noatime" in line and "fuse.lafs" in line and r"my\040grid" in line, line)
    write(os.path.join(node.one, "f"), "x")
    check(os.stat(os.path.join(node.one, "f")).st_mode & 0o777 == 0o644, "fmask")
    node("umount", node.one)


def case_mount_t_lafs_and_fstab(node):
    if os.geteuid() != 0:
        return "only root can do that"
    sbin = os.path.join(node.work, "sbin")
    os.mkdir(sbin)
    shutil.copy(node.helper, os.path.join(sbin, "mount.lafs"))
    os.chmod(os.path.join(sbin, "mount.lafs"), 0o755)
    fstab = os.path.join(node.work, "fstab")
    write(fstab, f"tahoe: {node.two} lafs node={node.path},_netdev,nofail,noatime 0 0\n")
    script = f"""
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={sbin}:/usr/sbin /usr/sbin || exit 77
export LAFS_PROGRAM={node.lafs}
mount -t lafs tahoe: {node.one} -o node={node.path},noatime
echo through mount > {node.one}/g
mount -a -T {fstab}
test "$(cat {node.two}/g)" = "through mount"
grep -q "{node.two} .*noatime.* fuse.lafs tahoe:" /proc/self/mountinfo
{node.lafs} umount {node.two}
umount {node.one}
"""
    env = {key: value for key, value in os.environ.items() if key not in ("HOME", "LAFS_NODE")}
    done = run("unshare", "--mount", "sh", "-c", script, ok=False, env=env)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        return "no private mounts here"
    check(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    wait_for(node.daemon_ended, "the daemon to end after umount(8)")
    check(node("cat", "g").stdout == "through mount\n", "umount(8) lost what was written")


def case_systemd_is_told(node):
    path = os.path.join(node.work, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(30)
        env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
        daemon = subprocess.Popen([node.lafs, "--node", node.path, "mount", "-f", node.one], env=env)
        try:
            words = ""
            while "READY=1" not in words:
                words = listener.recv(4096).decode()
            check(os.path.ismount(node.one), "ready, but not mounted")
            while "WATCHDOG=1" not in words:
                words = listener.recv(4096).decode()
            daemon.terminate()
            while "STOPPING=1" not in words:
                words = listener.recv(4096).decode()
            daemon.wait(30)
        finally:
            daemon.kill()
            daemon.wait()
    check(not os.path.ismount(node.one), "still mounted")


def lock_and_be_kept_out(a, b):
    """a is locked in one mount, and so is b, the same file in the other."""
    fcntl.flock(a, fcntl.LOCK_EX)
    try:
        fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise Failed("a lock does not hold in the other mount")
    except BlockingIOError:
        pass


def case_two_mounts_of_one_daemon(node):
    trusting = "entry_timeout=60,attr_timeout=60,negative_timeout=60"
    node("mount", "-o", trusting, node.one)
    node("mount", "-o", trusting, node.two)
    status = node.status()["daemon"]
    check(len(status["mounts"]) == 2, "not both by one process: " + str(status))
    one, two = os.path.join(node.one, "f"), os.path.join(node.two, "f")
    check(not os.path.exists(two), "there too early")
    write(one, "first")
    wait_for(lambda: os.path.exists(two), "the other kernel to forget that there was nothing", 5)
    check(read(two) == "first", "other content")
    write(one, "second, longer")
    wait_for(lambda: read(two) == "second, longer", "the other kernel to forget the pages", 5)
    with open(one, "r+") as a, open(two, "r+") as b:
        lock_and_be_kept_out(a, b)
        fcntl.flock(a, fcntl.LOCK_UN)
        fcntl.lockf(b, fcntl.LOCK_EX)
        try:
            fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise Failed("a record lock does not hold in the other mount")
        except OSError:
            pass
    os.rename(two, two + ".new")
    wait_for(lambda: not os.path.exists(one), "the name to go", 5)
    os.unlink(one + ".new")
    wait_for(lambda: os.listdir(node.two) == [], "the file to go", 5)
    node("umount", node.two)
    check(os.path.ismount(node.one), "the other mount is gone as well")
    node("umount", node.one)


def case_a_mount_within_another(node):
    node("mount", node.one)
    os.makedirs(os.path.join(node.one, "top", "sub"))
    node("mount", "tahoe:top/sub", node.two)  # which is not on the grid yet, perhaps
    one, two = os.path.join(node.one, "top", "sub"), node.two
    node("flush")
    os.listdir(one), os.listdir(two)
    node.servers("stop")  # what one shows, the other does not have from the grid
    write(os.path.join(two, "f"), "from within")
    wait_for(lambda: os.path.exists(os.path.join(one, "f")), "the file to be seen from outside")
    check(read(os.path.join(one, "f")) == "from within", "other content")
    write(os.path.join(one, "f"), "from outside, longer")
    wait_for(lambda: read(os.path.join(two, "f")) == "from outside, longer", "the content inside")
    check(os.stat(os.path.join(one, "f")).st_ino == os.stat(os.path.join(two, "f")).st_ino,
          "two numbers for one file")
    with open(os.path.join(one, "f")) as a, open(os.path.join(two, "f")) as b:
        lock_and_be_kept_out(a, b)
    os.rename(os.path.join(one, "f"), os.path.join(node.one, "outside"))
    wait_for(lambda: os.listdir(two) == [], "the file to leave")
    os.rename(os.path.join(node.one, "top"), os.path.join(node.one, "moved"))
    write(os.path.join(two, "g"), "after the move")
    check(read(os.path.join(node.one, "moved", "sub", "g")) == "after the move", "after the move")
    node.servers("start")
    node("umount", node.two)
    node("umount", node.one)
    check(node("cat", "moved/sub/g").stdout == "after the move", "on the grid")


def case_commands_beside_the_daemon(node):
    node("mount", node.one)
    for n in range(20):
        write(os.path.join(node.one, f"f{n}"), f"number {n}")
        check(node("cat", f"f{n}").stdout == f"number {n}", "a command does not see the mount's file")
    check("f19" in node("ls").stdout, "ls beside the mount")
    for n, what in ((3, os.path.join(node.one, "f3")), (4, node.one)):
        write(os.path.join(node.one, f"f{n}"), "changed " * 1000)
        node("flush", what)
        state = os.getxattr(os.path.join(node.one, f"f{n}"), "user.lafs.state")
        check(state == b"clean", f"{state} after flush {what}")
    node("flush")
    queue = node.status()["daemon"]["queue"]
    check(queue["files"] == 0 and queue["directories"] == 0, "not empty after a flush: " + str(queue))
    node("umount", node.one)


def case_a_copy_takes_over_what_the_grid_has(node):
    node("mount", node.one)
    one, two = os.path.join(node.one, "one"), os.path.join(node.one, "two")
    write(one, "content " * 100000)
    node("flush")
    subprocess.run(["cp", one, two], check=True)
    with open(two) as copy:
        check(copy.read() == "content " * 100000, "another content")
    node("flush")
    caps = [os.getxattr(name, "user.lafs.cap") for name in (one, two)]
    check(caps[0] == caps[1], f"stored once more: {caps}")
    node("umount", node.one)


def case_grid_away(node):
    node("mount", node.one)
    write(os.path.join(node.one, "before"), "x")
    node("flush")
    node.servers("stop")
    write(os.path.join(node.one, "kept"), "kept " * 1000)
    start = time.monotonic()
    done = node("umount", "--timeout", "2", node.one, ok=False)
    check(done.returncode not in (0, 2) and time.monotonic() - start < 20, "umount says " +
          str(done.returncode))
    check("--now" in done.stderr and os.path.ismount(node.one), "still mounted? " + done.stderr)
    check(node("flush", "--timeout", "1", ok=False).returncode != 0, "flush without a grid")
    wait_for(lambda: node.status()["daemon"]["queue"]["files"] == 1, "the queue to show it")
    node("umount", "--now", node.one)
    check(not os.path.ismount(node.one), "still mounted")
    wait_for(node.daemon_ended, "the daemon to end without a grid")
    node.servers("start")
    node("mount", node.one)
    check(read(os.path.join(node.one, "kept")) == "kept " * 1000, "lost")
    node("umount", node.one)
    check(node("cat", "kept").stdout == "kept " * 1000, "not on the grid after umount")


def case_control_socket(node):
    node("mount", node.one)
    path = os.path.join(node.path, "control.sock")
    check(os.stat(path).st_mode & 0o777 == 0o600, "mode of the socket")
    check(node.ask({"do": "status"})[-1]["ok"] is True, "status")
    check(node.ask({"do": "dance"})[-1]["code"] == "unsupported", "an unknown verb")
    for bad in ("nonsense", "[]", "{}", "\x00", "{" * 5000, '{"do":{"do":1}}',
                '{"do":"flush","inode":-1e300,"timeout":"x"}', '{"do":"mount"}'):
        answer = node.ask(bad)[-1]
        check(answer["ok"] is False or "flush" in bad, f"{bad[:30]} is answered {answer}")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        try:
            s.sendall(b"x" * 200_000)
            s.recv(1000)
        except OSError:
            pass
    check(node.ask({"do": "status"})[-1]["ok"] is True, "status after all that")
    node("umount", node.one)


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lafs")
    parser.add_argument("helper")
    parser.add_argument("--only")
    args = parser.parse_args()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return SKIP
    failed = 0
    work = os.path.realpath(tempfile.mkdtemp(prefix="lafs-mounting-"))
    node = Node(os.path.abspath(args.lafs), os.path.abspath(args.helper), work)
    try:
        for case in CASES:
            name = case.__name__[5:]
            if args.only and args.only != name:
                continue
            start, why = time.monotonic(), None
            try:
                skipped = case(node)
                word = f"skip ({skipped})" if skipped else "ok"
            except (Failed, OSError, KeyError, TypeError, ValueError,
                    subprocess.SubprocessError) as e:
                word, why, failed = "FAIL", e, failed + 1
            if why:
                log = os.path.join(work, "node", "mount.log")
                tail = open(log).read()[-1500:] if os.path.exists(log) else ""
                print(f"     {type(why).__name__}: {why}\n{tail}")
            node.clear()
            print(f"{word:4} {name.replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
    finally:
        node.clear()
        node.servers("stop")
        shutil.rmtree(work, ignore_errors=True)
    print(f"{failed} failed" if failed else "all cases passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
