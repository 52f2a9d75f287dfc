# SPDX-License-Identifier: Apache-2.0
"""A grid, a node, and `lafs run` on it."""
import json
import os
import shutil
import signal
import socket
import subprocess
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


def can_mount():
    return os.geteuid() == 0 and os.path.exists("/dev/fuse") and shutil.which("curl")


class World:
    def __init__(self, lafs, work):
        self.lafs_program, self.work = lafs, work
        self.node, self.grid = os.path.join(work, "node"), os.path.join(work, "grid")
        self.drive = os.path.join(work, "drive")
        self.env = dict(os.environ, LAFS_NODE=self.node, NO_COLOR="1")
        self.daemon = None

    def run(self, *words, stdin=None):
        done = subprocess.run([self.lafs_program, *words], input=stdin, capture_output=True, env=self.env,
                              timeout=120)
        check(done.returncode == 0, f"lafs {words}: {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    def start(self):
        self.log = open(os.path.join(self.work, "log"), "ab")
        self.daemon = subprocess.Popen([self.lafs_program, "--log", "info", "run"], env=self.env,
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
            ours = [line.split()[1] for line in mounts]
        for path in ours:
            if path.startswith(self.work + "/"):
                subprocess.run(["umount", "-l", path], check=True)
        subprocess.run([self.lafs_program, "grid", "stop", "--dir", self.grid], capture_output=True)

    def make(self, more=""):
        """The grid, the node, and one tahoe.cfg for everything."""
        self.run("grid", "start", "--servers", "3", "--dir", self.grid)
        self.run("create-node", "--grid", os.path.join(self.grid, "servers.yaml"), "--shares", "1,2,3")
        os.mkdir(self.drive)
        self.ftp, self.sftp, self.metrics = free_port(), free_port(), free_port()
        self.config(f"[mounts]\ndrive = tahoe: {self.drive}\n"
                    f"[sftpd]\nenabled = true\nport = tcp:{self.sftp}:interface=127.0.0.1\n"
                    f"[ftpd]\nenabled = true\nport = tcp:{self.ftp}:interface=127.0.0.1\n"
                    f"[metrics]\nport = {self.metrics}\n" + more)

    def config(self, text):
        """What tahoe.cfg says besides what create-node wrote."""
        path = os.path.join(self.node, "tahoe.cfg")
        if not hasattr(self, "made"):
            with open(path) as f:
                self.made = f.read()
        with open(path, "w") as f:
            f.write(self.made + "\n" + text)
        self.more = text

    def lafs(self, *words):
        return subprocess.run([self.lafs_program, *words], capture_output=True, env=self.env,
                              timeout=120, text=True)

    def parts(self):
        """The daemon's parts as `lafs status` has them, by name."""
        done = self.lafs("status", "--json")
        daemon = json.loads(done.stdout)["daemon"] if done.stdout else None
        return {one["name"]: one for one in (daemon or {}).get("services", [])}

    def serving(self, *names):
        parts = self.parts()
        return all(parts.get(name, {}).get("serving") for name in names)

    def logged(self):
        with open(os.path.join(self.work, "log")) as f:
            return f.read()

    def mounted(self, path=None):
        with open("/proc/mounts") as mounts:
            return any(line.split()[1] == (path or self.drive) for line in mounts)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        if self.mounted():
            subprocess.run(["umount", "-l", self.drive], check=True)
