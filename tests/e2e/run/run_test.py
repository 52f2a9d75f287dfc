#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lafs run: a mount, SFTP, FTP and metrics from one tahoe.cfg, in one process with one namespace.

usage: run_test.py LAFS
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SKIP = 77


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    def __init__(self, lafs, work):
        self.lafs, self.work = lafs, work
        self.node, self.grid = os.path.join(work, "node"), os.path.join(work, "grid")
        self.drive = os.path.join(work, "drive")
        self.env = dict(os.environ, LAFS_NODE=self.node, NO_COLOR="1")
        self.daemon = None

    def run(self, *words, stdin=None):
        done = subprocess.run([self.lafs, *words], input=stdin, capture_output=True, env=self.env,
                              timeout=120)
        check(done.returncode == 0, f"lafs {words}: {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    def start(self):
        self.log = open(os.path.join(self.work, "log"), "ab")
        self.daemon = subprocess.Popen([self.lafs, "--log", "info", "run"], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.wait("mounted", lambda: os.path.ismount(self.drive))

    def wait(self, what, condition, seconds=40):
        end = time.monotonic() + seconds
        while not condition():
            with open(os.path.join(self.work, "log"), "rb") as f:
                check(time.monotonic() < end and self.daemon.poll() is None,
                      f"never: {what}\n{f.read()[-2000:].decode()}")
            time.sleep(0.05)

    def metric(self, text):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as f:
                return text in f.read().decode()
        except OSError:
            return False

    def curl(self, url, stdin=None, ok=True):
        words = ["curl", "-sS", "-k", "--ssl", "-u", "alice:secret", url]
        if stdin is not None:
            words += ["-T", "-"]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=60)
        check(done.returncode == 0 or not ok, f"{url}: {done.stderr.decode()}")
        return done.stdout

    def clear(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        # A mount whose process is gone cannot be looked at, only be seen in the table.
        with open("/proc/mounts") as mounts:
            if any(line.split()[1] == self.drive for line in mounts):
                subprocess.run(["umount", "-l", self.drive], check=True)
        subprocess.run([self.lafs, "grid", "stop", "--dir", self.grid], capture_output=True)


def scenario(w):
    w.run("grid", "start", "--servers", "3", "--dir", w.grid)
    w.run("create-node", "--grid", os.path.join(w.grid, "servers.yaml"), "--shares", "1,2,3")
    os.mkdir(w.drive)
    ftp, sftp, w.metrics = free_port(), free_port(), free_port()
    with open(os.path.join(w.node, "tahoe.cfg"), "a") as f:
        f.write(f"\n[mounts]\ndrive = tahoe: {w.drive}\n"
                f"\n[sftpd]\nenabled = true\nport = tcp:{sftp}:interface=127.0.0.1\n"
                f"\n[ftpd]\nenabled = true\nport = tcp:{ftp}:interface=127.0.0.1\n"
                f"\n[metrics]\nport = {w.metrics}\n")
    w.start()
    # Without accounts two parts cannot serve; the mount does, and they come once there are some.
    w.wait("metrics", lambda: w.metric('lafs_part_up{part="ftp"} 0'))
    w.run("accounts", "add", "alice", "--root", "tahoe:", "--password-stdin", stdin=b"secret\n")
    for part in ("ftp", "sftp"):
        w.wait(part, lambda: w.metric('lafs_part_up{part="%s"} 1' % part))
    # What one sees, all see.
    with open(os.path.join(w.drive, "from-mount"), "w") as f:
        f.write("mount")
    check(w.curl(f"ftp://127.0.0.1:{ftp}/from-mount") == b"mount", "FTP")
    w.curl(f"ftp://127.0.0.1:{ftp}/from-ftp", stdin=b"ftp")
    with open(os.path.join(w.drive, "from-ftp")) as f:
        check(f.read() == "ftp", "mount after FTP")
    check("sftp" not in os.listdir(w.drive), "nothing yet")
    protocols = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    if " sftp " in protocols:
        w.curl(f"sftp://127.0.0.1:{sftp}/from-sftp", stdin=b"sftp")
        with open(os.path.join(w.drive, "from-sftp")) as f:
            check(f.read() == "sftp", "mount after SFTP")
    # Killed, nothing that was acknowledged is lost.
    for i in range(20):
        with open(os.path.join(w.drive, f"late-{i}"), "w") as f:
            f.write(str(i))
    w.daemon.kill()
    w.daemon.wait()
    subprocess.run(["umount", "-l", w.drive], check=True)
    w.start()
    for i in range(20):
        with open(os.path.join(w.drive, f"late-{i}")) as f:
            check(f.read() == str(i), f"late-{i}")
    w.daemon.send_signal(signal.SIGTERM)
    check(w.daemon.wait(60) == 0, "exit status after SIGTERM")
    check(not os.path.ismount(w.drive), "still mounted")
    names = w.run("ls", "tahoe:").split()
    check("from-ftp" in names and "late-19" in names, names)


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not shutil.which("curl"):
        print("SKIP: needs root, /dev/fuse and curl")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="lafs-run-") as work:
        w = World(os.path.abspath(sys.argv[1]), work)
        try:
            scenario(w)
        finally:
            w.clear()
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
