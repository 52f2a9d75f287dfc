#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One `lafs run`: POSIX rules on its mount while SFTP and FTP clients and programs on the mount
write, read, rename and remove the same files; killed under that load, it loses nothing that was
acknowledged.

usage: together_test.py LAFS CONFORMANCE_PATHS
LAFS_RUN_KILLS=N kills it N times instead of once; LAFS_LONG_TESTS=1 runs the whole list of rules.
"""
import ftplib
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from run_world import SKIP, World, can_mount, check, free_port


class Stopped(Exception):
    """The daemon was killed under it: what was being asked for may or may not have happened."""


class Mount:
    def __init__(self, w):
        self.root = os.path.join(w.drive, "shared")

    def put(self, name, data):
        with open(os.path.join(self.root, name), "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())

    def get(self, name):
        with open(os.path.join(self.root, name), "rb") as f:
            return f.read()

    def rename(self, old, new):
        os.rename(os.path.join(self.root, old), os.path.join(self.root, new))
        directory = os.open(self.root, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def close(self):
        pass


class Ftp:
    def __init__(self, w):
        self.ftp = ftplib.FTP()
        self.ftp.connect("127.0.0.1", w.ftp, timeout=60)
        self.ftp.login("alice", "secret")
        self.ftp.cwd("/shared")

    def put(self, name, data):
        self.ftp.storbinary("STOR " + name, io.BytesIO(data))

    def get(self, name):
        out = io.BytesIO()
        self.ftp.retrbinary("RETR " + name, out.write)
        return out.getvalue()

    def rename(self, old, new):
        self.ftp.rename(old, new)

    def close(self):
        self.ftp.close()


class Sftp:
    """OpenSSH's sftp, one batch for each thing."""

    def __init__(self, w):
        self.w = w
        self.folder = tempfile.mkdtemp(dir=w.work)

    def batch(self, line):
        done = subprocess.run(
            ["sftp", "-q", "-b", "-", "-P", str(self.w.sftp), "-i", self.w.key,
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "-o", "IdentitiesOnly=yes", "alice@127.0.0.1:/shared"],
            input=line + "\n", capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise OSError(f"sftp: {line}: {done.stderr}")

    def put(self, name, data):
        path = os.path.join(self.folder, "up")
        with open(path, "wb") as f:
            f.write(data)
        self.batch(f"put -f {path} {name}")

    def get(self, name):
        path = os.path.join(self.folder, "down")
        self.batch(f"get {name} {path}")
        with open(path, "rb") as f:
            return f.read()

    def rename(self, old, new):
        self.batch(f"rename {old} {new}")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


KINDS = {"mount": Mount, "ftp": Ftp, "sftp": Sftp}


class Worker(threading.Thread):
    """Writes through one protocol, reads back through another, renames through a third, and knows
    what has been acknowledged."""

    def __init__(self, w, kind, seed):
        super().__init__(daemon=True)
        self.w, self.kind, self.chance = w, kind, random.Random(seed)
        self.kept, self.error, self.rounds = {}, None, 0
        self.stop = threading.Event()

    def run(self):
        try:
            while not self.stop.is_set():
                self.round()
                self.rounds += 1
        except Exception as e:  # judged by who killed the daemon, or did not
            self.error = e

    def through(self, kind, verb, *words):
        one = KINDS[kind](self.w)
        try:
            return getattr(one, verb)(*words)
        finally:
            one.close()

    def until_heard(self, look, wanted):
        """What the kernel remembers of names and pages on the mount goes a few milliseconds after a
        change through another protocol (docs/RUNNING.md)."""
        end = time.monotonic() + 10
        while True:
            got = look()
            if got == wanted or time.monotonic() > end:
                return got
            time.sleep(0.01)

    def round(self):
        others = sorted(set(KINDS) - {self.kind})
        name = f"{self.kind}-{self.chance.randrange(8)}"
        data = self.chance.randbytes(self.chance.choice([0, 10, 5000, 200_000]))
        was = self.kept.pop(name, None)  # neither the old nor the new content is promised now
        self.through(self.kind, "put", name, data)
        self.kept[name] = data
        if was is None or self.chance.random() < 0.5:
            reader = self.chance.choice(others)
            got = self.until_heard(lambda: self.through(reader, "get", name), data)
            check(got == data, f"{name}: {len(data)} bytes written by {self.kind}, "
                               f"{len(got)} read by {reader}")
        if self.chance.random() < 0.3:
            new = f"{name}-{self.chance.randrange(1000)}"
            del self.kept[name]
            self.through(self.chance.choice(others), "rename", name, new)
            old = os.path.join(self.w.drive, "shared", name)
            self.until_heard(lambda: os.path.exists(old), False)
            self.kept[new] = data


def workers(w, seed):
    kinds = ["mount", "ftp"] + (["sftp"] if shutil.which("sftp") else [])
    out = [Worker(w, kind, f"{seed} {kind}") for kind in kinds]
    for one in out:
        one.start()
    return out


def everything_serves(w):
    return w.serving("ftp", "sftp", "storage", f"mount {w.drive}")


def verify(w, promised):
    for name, data in promised.items():
        path = os.path.join(w.drive, "shared", name)
        check(os.path.exists(path), f"{name} is lost")
        with open(path, "rb") as f:
            got = f.read()
        check(hashlib.sha256(got).digest() == hashlib.sha256(data).digest(),
              f"{name}: {len(data)} bytes were acknowledged, {len(got)} are there")


def rules_and_clients_at_once(w, conformance):
    load = workers(w, 1)
    only = [] if os.environ.get("LAFS_LONG_TESTS") else [
        word for name in ("content/", "rename/", "names/", "directories/") for word in ("--only", name)]
    posix = os.path.join(w.drive, "posix")
    os.mkdir(posix)
    os.chmod(posix, 0o755)
    rules = subprocess.run([conformance, *only, posix], capture_output=True, text=True, timeout=500)
    w.wait("some rounds of each client", lambda: all(one.rounds >= 3 or one.error for one in load), 240)
    for one in load:
        one.stop.set()
    for one in load:
        one.join(120)
        check(one.error is None, f"{one.kind}: {one.error!r}")
        verify(w, one.kept)
    check(rules.returncode == 0, rules.stdout[-3000:])
    print("       ", rules.stdout.strip().splitlines()[-1], "; rounds:",
          {one.kind: one.rounds for one in load}, flush=True)


def killed_under_load(w, kills):
    promised, seen = {}, 0
    for number in range(kills):
        load = workers(w, 100 + number)
        for one in load:  # each begins with what is known of its names
            one.kept = {n: d for n, d in promised.items() if n.startswith(one.kind + "-")}
        w.wait("some rounds of each client",
               lambda: all(one.rounds >= 2 or one.error for one in load), 240)
        for one in load:
            check(one.error is None, f"before the kill: {one.kind}: {one.error!r}")
        time.sleep(random.random())  # anywhere in what they do
        w.kill()
        for one in load:
            one.stop.set()
        for one in load:
            one.join(120)
            check(not one.is_alive(), f"{one.kind} hangs after the kill")
            check(not isinstance(one.error, AssertionError), f"{one.kind}: {one.error}")
            promised = {n: d for n, d in promised.items() if not n.startswith(one.kind + "-")}
            promised.update(one.kept)
        w.start()
        verify(w, promised)
        seen += len(promised)
        w.wait("all parts are back", lambda: everything_serves(w), 120)
    print(f"        {kills} kills, {seen} acknowledged files looked at", flush=True)


def main():
    if not can_mount() or not shutil.which("ssh-keygen"):
        print("SKIP: needs root, /dev/fuse, curl and ssh-keygen")
        return SKIP
    lafs, conformance = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="lafs-together-") as work:
        w = World(lafs, work)
        w.key = os.path.join(work, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", w.key], check=True)
        try:
            tub = free_port()
            w.make("[storage]\nenabled = true\n")
            w.made = w.made.replace("tub.port = disabled", f"tub.port = tcp:{tub}:interface=127.0.0.1")
            w.made = w.made.replace("tub.location = disabled", f"tub.location = tcp:127.0.0.1:{tub}")
            w.made = w.made.replace("enabled = false", "enabled = true")
            w.config(w.more)
            w.run("accounts", "add", "alice", "--root", "tahoe:", "--key", w.key + ".pub",
                  "--password-stdin", stdin=b"secret\n")
            w.start()
            w.wait("all parts", lambda: everything_serves(w), 120)
            os.mkdir(os.path.join(w.drive, "shared"))
            begin = time.monotonic()
            rules_and_clients_at_once(w, conformance)
            print(f"ok      rules_and_clients_at_once ({time.monotonic() - begin:.1f} s)", flush=True)
            begin = time.monotonic()
            killed_under_load(w, int(os.environ.get("LAFS_RUN_KILLS", "1")))
            print(f"ok      killed_under_load ({time.monotonic() - begin:.1f} s)", flush=True)
            w.daemon.terminate()
            check(w.daemon.wait(120) == 0, "exit status after SIGTERM")
        except AssertionError as e:
            print("FAILED ", e)
            print(w.logged()[-3000:])
            return 1
        finally:
            w.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
