#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the daemon of a real mount at counted steps of its disk, again and again on one node
directory, and compares what the next daemon shows with what was acknowledged.

usage: crash_test.py LAFS [POINTS]

Each run goes on where the last one was killed. At the end a read-only mount of another node, which
only has the grid, has to show the same. POINTS: how many kills (default 25, or LAFS_CRASH_KILLS).
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time


class Daemon:
    def __init__(self, lafs, node, mountpoint, log, fault=None):
        self.mountpoint = mountpoint
        environment = dict(os.environ)
        environment.pop("LAFS_DISK_FAULT", None)
        if fault:
            environment["LAFS_DISK_FAULT"] = fault
        self.process = subprocess.Popen(
            [lafs, "--node", node, "mount", "-f", "-o", "write_back_delay=0.05", mountpoint],
            env=environment, stdout=log, stderr=log)

    def ready(self):
        """True when it is mounted; False when it died before."""
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                return False
            if os.path.ismount(self.mountpoint):
                return True
            time.sleep(0.01)
        raise SystemExit("the daemon does not mount")

    def alive(self):
        return self.process.poll() is None

    def gone(self):
        """Waits for a daemon that was killed, and takes its dead mount away."""
        self.process.wait(30)
        subprocess.run(["fusermount3", "-uz", self.mountpoint], stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        if code != 0:
            raise SystemExit(f"the daemon ended with {code}")


class Dead(Exception):
    pass


class Model:
    """What was acknowledged: path -> content, None for a directory. `before` is what it was without
    the last step, which may not have been acknowledged."""

    def __init__(self):
        self.state, self.before = {}, None

    def step(self, act, effect):
        self.before = dict(self.state)
        effect(self.state)
        try:
            act()
        except OSError as error:
            # ENOENT: the dead mount was taken away under us.
            raise Dead(str(error))
        self.before = None

    def settle(self, seen):
        """Compares after a restart; what is seen is what counts from now on."""
        expected = [self.state] + ([self.before] if self.before is not None else [])
        if seen not in expected and not (self.before and between(self.before, self.state, seen)):
            raise SystemExit(f"after a restart:\n  {shown(seen)}\nexpected:\n  " +
                             "\nor\n  ".join(map(shown, expected)))
        self.state, self.before = seen, None


def between(before, after, seen):
    """A write that was not acknowledged may have been done in part, each byte old or new."""
    changed = [p for p in after if before.get(p) != after[p]]
    if len(changed) != 1 or set(seen) != set(after) or set(before) != set(after):
        return False
    old, new, got = (s[changed[0]] for s in (before, after, seen))
    return (all(seen[p] == after[p] for p in after if p != changed[0]) and
            min(len(old), len(new)) <= len(got) <= max(len(old), len(new)) and
            all(g in (old[i:i + 1] + new[i:i + 1]) for i, g in enumerate(got)))


def shown(state):
    return "; ".join(f"{p} {'/' if c is None else f'{len(c)}:{c[:6]!r}'}"
                     for p, c in sorted(state.items()))


def look(top):
    def refuse(error):
        raise error

    out = {}
    for folder, directories, files in os.walk(top, onerror=refuse):
        here = os.path.relpath(folder, top)
        for name in directories:
            out[os.path.normpath(os.path.join(here, name))] = None
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                out[os.path.normpath(os.path.join(here, name))] = file.read()
    return out


def work(top, model, dice, steps):
    """Random acknowledged steps, each one system call that changes something."""
    for _ in range(steps):
        state = model.state
        files = [p for p, c in state.items() if c is not None]
        name = dice.choice(["a", "b", "c", "d/a", "d/b"])
        if name.startswith("d/") and "d" not in state:
            model.step(lambda: os.mkdir(f"{top}/d"), lambda s: s.update(d=None))
            continue
        path = f"{top}/{name}"
        what = dice.randrange(6)
        if name not in state:
            def create():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            model.step(create, lambda s: s.update({name: b""}))
        elif what <= 2:
            at, data = dice.randrange(3) * 3000, bytes([dice.randrange(97, 123)]) * 5000
            file = None
            try:
                file = os.open(path, os.O_WRONLY)
            except OSError as error:
                raise Dead(str(error))

            def write(s):
                old = s[name].ljust(at, b"\0")
                s[name] = old[:at] + data + old[at + len(data):]

            def write_all():
                # The kernel asks the daemon page by page: it may die in between.
                if os.pwrite(file, data, at) < len(data):
                    raise Dead("a short write")
            try:
                model.step(write_all, write)
            finally:
                try:
                    os.close(file)
                except OSError:
                    pass
        elif what == 3:
            model.step(lambda: os.truncate(path, 2000),
                       lambda s: s.update({name: s[name][:2000].ljust(2000, b"\0")}))
        elif what == 4:
            model.step(lambda: os.unlink(path), lambda s: s.pop(name))
        else:
            to = dice.choice([p for p in files if p != name] + ["e"])
            model.step(lambda: os.rename(path, f"{top}/{to}"),
                       lambda s: s.update({to: s.pop(name)}))


def unclean(top):
    paths = [os.path.join(folder, name)
             for folder, directories, files in os.walk(top) for name in directories + files]
    return [p for p in paths if os.getxattr(p, "user.lafs.state") != b"clean"]


def run(lafs, points, work_dir, log):
    grid, node = os.path.join(work_dir, "grid"), os.path.join(work_dir, "node")
    top, other = os.path.join(work_dir, "mnt"), os.path.join(work_dir, "other")
    os.mkdir(top)
    os.mkdir(other)
    subprocess.run([lafs, "grid", "start", "--servers", "3", "--dir", grid], check=True, stdout=log)
    try:
        subprocess.run([lafs, "--node", node, "create-node", "--grid",
                        os.path.join(grid, "servers.yaml"), "--shares", "2,3,3"], check=True,
                       stdout=log)
        seed = int(os.environ.get("LAFS_CRASH_SEED", "1"))
        dice, model = random.Random(seed), Model()
        kills = 0
        while kills < points:
            fault = f"kill:{dice.randrange(1, 150)}"
            daemon = Daemon(lafs, node, top, log, fault)
            try:
                if not daemon.ready():
                    kills += 1  # at the start, while it recovers
                    continue
                try:
                    seen = look(top)
                    os.statvfs(top)  # fails when it died while we looked: reads are cut short then
                    if not daemon.alive():
                        raise Dead("while it was looked at")
                    model.settle(seen)
                    work(top, model, dice, 60)
                    while daemon.alive():  # what it does by itself
                        work(top, model, dice, 5)
                except (Dead, OSError):
                    pass
                kills += 1
            finally:
                if daemon.alive():
                    try:
                        os.stat(top)
                        daemon.process.kill()  # a step failed although it lives: see the log
                    except OSError:
                        pass
                daemon.gone()
        daemon = Daemon(lafs, node, top, log)
        daemon.ready()
        model.settle(look(top))
        # A server may still wait for the rest of an upload that a kill has cut short.
        limit = time.monotonic() + 100
        while unclean(top) and time.monotonic() < limit:
            time.sleep(0.2)
        cap = os.getxattr(top, "user.lafs.cap").decode()
        daemon.stop()

        second = os.path.join(work_dir, "second")
        subprocess.run([lafs, "--node", second, "create-node", "--grid",
                        os.path.join(grid, "servers.yaml"), "--shares", "2,3,3"], check=True,
                       stdout=log)
        elsewhere = subprocess.Popen([lafs, "--node", second, "mount", "-f", "-r", cap, other],
                                     stdout=log, stderr=log)
        try:
            limit = time.monotonic() + 30
            while not os.path.ismount(other) and time.monotonic() < limit:
                time.sleep(0.02)
            model.settle(look(other))
        finally:
            elsewhere.send_signal(signal.SIGTERM)
            elsewhere.wait(60)
        print(f"{kills} kills, nothing acknowledged was lost (seed {seed})")
    finally:
        subprocess.run([lafs, "grid", "stop", "--dir", grid], stdout=log)


def main():
    lafs = os.path.abspath(sys.argv[1])
    points = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("LAFS_CRASH_KILLS", 25))
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    work_dir = tempfile.mkdtemp(prefix="lafs-crash-")
    log_path = os.path.join(work_dir, "log")
    try:
        with open(log_path, "w") as log:
            run(lafs, points, work_dir, log)
    except BaseException:
        with open(log_path) as log:
            sys.stderr.write(log.read()[-6000:])
        raise
    finally:
        for name in ("mnt", "other"):
            subprocess.run(["fusermount3", "-uz", os.path.join(work_dir, name)],
                           stderr=subprocess.DEVNULL)
        shutil.rmtree(work_dir, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
