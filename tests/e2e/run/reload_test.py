#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and `lafs reload` in each daemon that serves files by itself: lafs mount, serve sftp, serve
ftp. What has changed takes effect, what is wrong changes nothing, and clients stay connected.

usage: reload_test.py LAFS
"""
import ftplib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from run_world import SKIP, World, can_mount, check, free_port

CONTENT = b"more than a literal cap holds " * 40


class Mounted:
    name = "mount"

    def __init__(self, w):
        self.w = w
        self.words = ["mount", "-f", "tahoe:", w.drive]

    def ready(self):
        return self.w.mounted()

    def write(self, name):
        with open(os.path.join(self.w.drive, name), "wb") as f:
            f.write(CONTENT)


class Sftp:
    name = "sftp"

    def __init__(self, w):
        self.w, self.port = w, free_port()
        self.words = ["serve", "sftp", "--addr", f"127.0.0.1:{self.port}"]

    def batch(self, line):
        return subprocess.run(
            ["sftp", "-q", "-b", "-", "-P", str(self.port), "-i", self.w.key, "-o", "IdentitiesOnly=yes",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "alice@127.0.0.1"],
            input=line + "\n", capture_output=True, text=True, timeout=60)

    def ready(self):
        return self.batch("pwd").returncode == 0

    def write(self, name):
        path = os.path.join(self.w.work, "up")
        with open(path, "wb") as f:
            f.write(CONTENT)
        done = self.batch(f"put {path} {name}")
        check(done.returncode == 0, done.stderr)


class Ftp:
    """One session for the whole test: a reload must not end it."""
    name = "ftp"

    def __init__(self, w):
        self.w, self.port, self.session = w, free_port(), None
        # [ftpd] max-sessions = 9 in tahoe.cfg: what was typed wins.
        self.words = ["serve", "ftp", "--addr", f"127.0.0.1:{self.port}", "--max-sessions", "1"]

    def connect(self, user="alice"):
        ftp = ftplib.FTP()
        ftp.connect("127.0.0.1", self.port, timeout=60)
        ftp.login(user, "secret")
        return ftp

    def ready(self):
        try:
            self.session = self.session or self.connect()
        except (OSError, ftplib.Error):
            return False
        return True

    def write(self, name):
        self.session.storbinary("STOR " + name, io.BytesIO(CONTENT))


def write_file(path, text):
    with open(path, "w") as f:
        f.write(text)


def queued(w):
    daemon = json.loads(w.lafs("status", "--json").stdout)["daemon"]
    return daemon["queue"]["files"] if daemon else 0


def reload_as_told(w, kind, number):
    servers = os.path.join(w.node, "private", "servers.yaml")
    log = os.path.join(w.node, f"{kind.name}.json")
    write_file(servers, w.one_server)
    w.config("[ftpd]\nmax-sessions = 9\n")
    one = kind(w)
    out = open(os.path.join(w.work, "log"), "ab")
    w.daemon = subprocess.Popen([w.lafs_program, "--log", "info", *one.words], env=w.env,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    w.wait("it serves", one.ready)
    # With one server of the two that an upload needs, what is written stays here.
    one.write(f"{kind.name}-before")
    w.wait("it is queued", lambda: queued(w) > 0)
    # What is wrong changes nothing, and is said with file and line.
    write_file(servers, w.two_servers)
    w.config("[client]\nshares.needed = many\n")
    done = w.lafs("reload")
    check(done.returncode == 5 and "tahoe.cfg:" in done.stderr and "many" in done.stderr, done.stderr)
    write_file(servers, "storage: [\n")
    w.config(f"[ftpd]\nmax-sessions = 9\n[log]\nfile = {kind.name}.json\nformat = json\n")
    w.daemon.send_signal(signal.SIGHUP)
    w.wait("the complaint", lambda: w.logged().count("servers.yaml:") >= number)
    # SIGHUP for one, `lafs reload` for another: both read everything.
    write_file(servers, w.two_servers)
    check(not os.path.exists(log) and queued(w) > 0, "half of it was taken over")
    if number % 2:
        w.daemon.send_signal(signal.SIGHUP)
    else:
        said = w.run("reload")
        check("servers" in said, said)
    w.wait("the log goes to its new file", lambda: os.path.exists(log))
    w.run("flush")
    check(w.run("cat", f"tahoe:{kind.name}-before").encode() == CONTENT, "content")
    one.write(f"{kind.name}-after")
    w.run("flush")
    check(w.run("cat", f"tahoe:{kind.name}-after").encode() == CONTENT, "content afterwards")
    with open(log) as f:
        check(all(json.loads(line)["message"] for line in f), "the log is not JSON")
    if kind is Ftp:
        try:
            one.connect()
            raise AssertionError("--max-sessions 1 was overridden by tahoe.cfg")
        except ftplib.error_temp as e:
            check(str(e).startswith("421"), e)
        one.session.quit()
    w.daemon.terminate()
    check(w.daemon.wait(60) == 0, "exit status")


def main():
    if not can_mount() or not shutil.which("ssh-keygen") or not shutil.which("sftp"):
        print("SKIP: needs root, /dev/fuse, curl, sftp and ssh-keygen")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="lafs-reload-") as work:
        w = World(os.path.abspath(sys.argv[1]), work)
        w.key = os.path.join(work, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", w.key], check=True)
        try:
            w.run("grid", "start", "--servers", "2", "--dir", w.grid)
            with open(os.path.join(w.grid, "servers.yaml")) as f:
                w.two_servers = f.read()
            w.one_server = w.two_servers[:w.two_servers.index("\n  v0-", w.two_servers.index("v0-")) + 1]
            w.run("create-node", "--grid", os.path.join(w.grid, "servers.yaml"), "--shares", "1,2,2")
            os.mkdir(w.drive)
            w.run("accounts", "add", "alice", "--root", "tahoe:", "--key", w.key + ".pub",
                  "--password-stdin", stdin=b"secret\n")
            for number, kind in enumerate((Mounted, Sftp, Ftp), 1):
                begin = time.monotonic()
                reload_as_told(w, kind, number)
                print(f"ok      {kind.name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:
            print(w.logged()[-4000:])
            raise
        finally:
            w.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
