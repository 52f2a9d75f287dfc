#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands at a terminal and in a pipe: progress bars, colours, widths, Ctrl-C once and twice, the
TAB key.

usage: terminal_test.py LAFS
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

CTRL_C = b"\x03"


def check(condition, message):
    if not condition:
        raise AssertionError(message)


class Terminal:
    """A command whose three streams are a terminal of so many columns."""

    def __init__(self, words, env, columns=80):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.master, self.text = master, b""
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=env,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                return
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the other side has closed it
                return
            if not piece:
                return
            self.text += piece

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition(self.text):
            check(time.monotonic() < end, f"never: {what}; the terminal shows {self.text[-500:]!r}")
            self.read(0.05)

    def key(self, key):
        os.write(self.master, key)

    def wait(self, seconds=90):
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            check(time.monotonic() < end, f"it does not end; the terminal shows {self.text[-500:]!r}")
            self.read(0.05)
        self.read(0.1)
        os.close(self.master)
        return self.process.returncode


class World:
    def __init__(self, lafs, work):
        self.lafs, self.work, self.grid = lafs, work, os.path.join(work, "grid")
        self.env = dict(os.environ, LAFS_NODE=os.path.join(work, "node"), TERM="xterm")
        self.env.pop("NO_COLOR", None)
        self.run("grid", "start", "--servers", "3", "--dir", self.grid)
        self.run("create-node", "--grid", os.path.join(self.grid, "servers.yaml"), "--shares", "1,2,3")
        self.big = os.path.join(work, "big")
        with open(self.big, "wb") as f:
            f.write(os.urandom(3 << 20))

    def run(self, *words, status=0, **more):
        done = subprocess.run([self.lafs, *words], capture_output=True, env=self.env, timeout=120,
                              text=True, **more)
        check(done.returncode == status, f"lafs {words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def servers(self, what):
        for server in os.listdir(self.grid):
            pid = os.path.join(self.grid, server, "lafs.pid")
            if server.startswith("server-") and os.path.exists(pid):
                with open(pid) as f:
                    os.kill(int(f.read()), what)


def ctrl_c_once_finishes_cleanly(w):
    """The bar goes, one line says so, the status is 130, and nothing half is there."""
    w.servers(signal.SIGSTOP)
    try:
        t = Terminal([w.lafs, "put", w.big, "tahoe:never"], w.env)
        time.sleep(1.5)  # not a race: nothing can come of it while the servers stand still
        t.key(CTRL_C)
        status = t.wait()
    finally:
        w.servers(signal.SIGCONT)
    check(status == 130, f"status {status}: {t.text!r}")
    check(t.text.count(b"lafs: put: ") == 1, t.text)
    w.run("stat", "tahoe:never", status=3)


def ctrl_c_twice_stops_at_once(w):
    """What a command would still like to finish is not waited for any more."""
    config = os.path.join(w.work, "node", "tahoe.cfg")
    with open(config) as f:
        before = f.read()
    drive = os.path.join(w.work, "drive")
    os.mkdir(drive)
    with open(config, "w") as f:
        f.write(before + f"\n[mounts]\ndrive = tahoe: {drive}\n")
    t = Terminal([w.lafs, "run"], w.env)
    try:
        t.until("mounted", lambda _: os.path.ismount(drive))
        w.servers(signal.SIGSTOP)
        with open(os.path.join(drive, "waiting"), "w") as f:
            f.write("not on the grid")
        t.key(CTRL_C)
        t.read(1)
        if t.process.poll() is None:  # it brings that to the grid, which does not answer
            t.key(CTRL_C)
            begin = time.monotonic()
            check(t.wait(30) == 130, f"status {t.process.returncode}")
            check(time.monotonic() - begin < 20, "the second Ctrl-C took its time")
        else:
            raise AssertionError("it did not wait for the grid at all")
    finally:
        w.servers(signal.SIGCONT)
        with open(config, "w") as f:
            f.write(before)
        if t.process.poll() is None:
            t.process.kill()
            t.process.wait()
        with open("/proc/mounts") as mounts:
            if any(line.split()[1] == drive for line in mounts):
                subprocess.run(["umount", "-l", drive], check=True)


def bars_on_terminals_only(w):
    source = os.path.join(w.work, "slow")
    for columns in (100, 34):
        # A pipe that is written to slowly: the bar has time to come.
        os.path.exists(source) or os.mkfifo(source)
        t = Terminal(["sh", "-c", f"exec {w.lafs} put - --size {3 << 20} tahoe:slow-{columns} < {source}"],
                     w.env, columns)
        with open(source, "wb") as f:
            for _ in range(12):
                f.write(os.urandom((3 << 20) // 12))
                f.flush()
                t.read(0.25)
        check(t.wait() == 0, t.text)
        lines = [re.sub(rb"\x1b\[K", b"", x) for x in t.text.split(b"\r") if b"/s" in x]
        check(lines, f"no bar at {columns} columns: {t.text!r}")
        longest = max(len(line.decode()) for line in lines)
        check(longest < columns, f"{longest} columns wide on {columns}")
        check((b"[=" in t.text or b"[>" in t.text) == (columns == 100), "the bar, and only where it fits")
        check(t.text.rstrip(b"\r\n").endswith(b"\x1b[K") or b"/s" not in t.text.split(b"\r")[-1], t.text)
    done = w.run("put", w.big, "tahoe:piped")
    check(done.stderr == "", f"in a pipe: {done.stderr!r}")


def colours_only_where_they_are_wanted(w):
    colour = re.compile(rb"\x1b\[[0-9;]*m")
    w.run("mkdir", "tahoe:folder")
    for words in (["ls", "-l", "tahoe:"], ["status"], ["doctor"]):
        t = Terminal([w.lafs, *words], dict(w.env, NO_COLOR="1"))
        t.wait()
        check(not colour.search(t.text), f"{words}: colours in spite of NO_COLOR")
        piped = subprocess.run([w.lafs, *words], capture_output=True, env=w.env, timeout=60)
        check(b"\x1b" not in piped.stdout + piped.stderr, f"{words}: escapes in a pipe")


def a_reader_that_goes_away(w):
    """lafs ... | head: no complaint about the pipe."""
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {w.lafs} manifest tahoe: | head -0; "
                                         f"{w.lafs} cat tahoe:piped | head -c 10 | wc -c"],
                          capture_output=True, env=w.env, timeout=60, text=True)
    check(done.stdout.strip() == "10", done.stdout)
    check("internal" not in done.stderr and "bug" not in done.stderr, done.stderr)


def json_is_one_line_of_json(w):
    for words in (["status"], ["ls", "tahoe:"], ["stat", "tahoe:piped"], ["config", "show"],
                  ["config", "check"], ["doctor"], ["list-aliases"], ["check", "tahoe:piped"]):
        done = subprocess.run([w.lafs, *words, "--json"], capture_output=True, env=w.env, timeout=60,
                              text=True)
        check(done.stdout.count("\n") == 1, f"{words}: {done.stdout!r}")
        json.loads(done.stdout)


def tab_completes(w):
    script = w.run("manual", "--completion", "bash").stdout

    def complete(*words):
        line = " ".join(words)
        done = subprocess.run(
            ["bash", "-c", script + f"\nCOMP_WORDS=({' '.join(repr(x) for x in words)})\n"
             f"COMP_CWORD={len(words) - 1}\nCOMP_LINE={line!r}\nCOMP_POINT={len(line)}\n_lafs\n"
             'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=20)
        check(done.stderr == "", done.stderr)
        return done.stdout.split()
    check("mount" in complete("lafs", "mo"), complete("lafs", "mo"))
    check({"sftp", "ftp", "storage", "introducer"} <= set(complete("lafs", "serve", "")),
          complete("lafs", "serve", ""))
    check("--json" in complete("lafs", "status", "--"), complete("lafs", "status", "--"))
    check("--passive-ports" in complete("lafs", "serve", "ftp", "--pa"), "options of serve ftp")


def main():
    work = tempfile.mkdtemp(prefix="lafs-terminal-")
    failed, w = 0, None
    cases = [tab_completes, bars_on_terminals_only, colours_only_where_they_are_wanted,
             a_reader_that_goes_away, json_is_one_line_of_json, ctrl_c_once_finishes_cleanly]
    if os.geteuid() == 0 and os.path.exists("/dev/fuse"):
        cases.append(ctrl_c_twice_stops_at_once)
    else:
        print("not tried: ctrl_c_twice_stops_at_once (needs root and /dev/fuse)")
    try:
        w = World(os.path.abspath(sys.argv[1]), work)
        for case in cases:
            begin = time.monotonic()
            try:
                case(w)
                print(f"ok      {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError, ValueError) as e:
                failed += 1
                print(f"FAILED  {case.__name__}: {e}", flush=True)
    finally:
        if w:
            w.servers(signal.SIGCONT)
            subprocess.run([w.lafs, "grid", "stop", "--dir", w.grid], capture_output=True)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
