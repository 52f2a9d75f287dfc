#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real mount of a real grid in bad times: the grid is away (soft and hard), the disk of the cache
is full, the cache is damaged after a kill.

usage: trouble_test.py LAFS [CASE...]        Exit status 77 (skip) where FUSE cannot be used.
"""
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from drive_test import Failed, Grid, check, run

LONG = 120  # seconds: for what takes a moment on an idle machine


def wait_for(condition, what):
    deadline = time.monotonic() + LONG
    while not condition():
        check(time.monotonic() < deadline, "waited in vain: " + what)
        time.sleep(0.05)


def content(name, size=3000):
    return (f"{name} " * size).encode()[:size]


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def state(path):
    return os.getxattr(path, "user.lafs.state").decode()


def status(grid):
    return json.loads(grid.command("status", "--json", ok=False).stdout)["daemon"]


def stop_grid(grid):
    run(grid.lafs, "grid", "stop", "--dir", grid.dir)


def kill_daemon(grid):
    grid.daemon.kill()
    grid.daemon.wait()
    grid.daemon = None
    subprocess.run(["umount", "-l", grid.drive], check=True)


def end_daemon(grid):
    """Without a grid, a daemon is not asked to wait for it."""
    if os.path.ismount(grid.drive):
        grid.command("umount", "--now", "--lazy", grid.drive)
    code = grid.daemon.wait(LONG)
    check(code in (0, 4), f"the daemon ended with {code}: {grid.last_words()}")
    grid.daemon = None


def forget_what_was_read(grid):
    shutil.rmtree(os.path.join(grid.node, "private", "cache"), ignore_errors=True)


def on_another_machine(grid, name):
    """What somebody reads who has nothing but the grid."""
    node = os.path.join(grid.work, "other")
    if not os.path.isdir(node):
        run(grid.lafs, "--node", node, "create-node", "--grid",
            os.path.join(grid.dir, "servers.yaml"), "--shares", "3,4,5")
    with open(os.path.join(grid.node, "private", "aliases")) as file:
        cap = next(line.split()[1] for line in file if line.startswith("tahoe:"))
    return run(grid.lafs, "--node", node, "cat", f"{cap}/{name}").stdout


def case_away_soft(grid):
    grid.mount()
    for name in ("seen", "unseen", "changed"):
        write(os.path.join(grid.drive, name), content(name))
    grid.unmount()
    forget_what_was_read(grid)
    grid.mount("-o", "timeout=10")
    check(read(os.path.join(grid.drive, "seen")) == content("seen"), "while the grid is there")
    stop_grid(grid)
    check({"seen", "unseen", "changed"} <= set(os.listdir(grid.drive)), "the listing")
    check(read(os.path.join(grid.drive, "seen")) == content("seen"), "what is cached")
    begin = time.monotonic()
    try:
        read(os.path.join(grid.drive, "unseen"))
        raise Failed("a file that is nowhere was read")
    except OSError as error:
        check(error.errno in (errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH),
              f"{error}")
    check(time.monotonic() - begin < 60, "an error that does not come")
    write(os.path.join(grid.drive, "new"), content("new"))
    write(os.path.join(grid.drive, "changed"), content("changed here"))
    os.rename(os.path.join(grid.drive, "seen"), os.path.join(grid.drive, "seen2"))
    check(read(os.path.join(grid.drive, "new")) == content("new"), "what waits")
    wait_for(lambda: state(os.path.join(grid.drive, "new")).startswith("stuck"), "the state to say so")
    check(status(grid)["queue"]["files"] == 2, f"the queue: {status(grid)['queue']}")
    grid.start_server()
    grid.command("flush")
    check(state(os.path.join(grid.drive, "new")) == "clean", "not clean after a flush")

    def readable():  # who failed is asked again after some seconds
        try:
            return read(os.path.join(grid.drive, "unseen")) == content("unseen")
        except OSError:
            return False
    wait_for(readable, "what failed to be read")
    for name, said in (("new", "new"), ("changed", "changed here"), ("seen2", "seen")):
        check(on_another_machine(grid, name) == content(said), f"{name} elsewhere")
    grid.unmount()


def case_away_hard(grid):
    grid.mount()
    write(os.path.join(grid.drive, "patient"), content("patient"))
    grid.unmount()
    forget_what_was_read(grid)
    grid.mount("-o", "hard")
    os.listdir(grid.drive)
    stop_grid(grid)
    got = []
    reader = threading.Thread(target=lambda: got.append(read(os.path.join(grid.drive, "patient"))))
    reader.start()
    reader.join(5)
    check(reader.is_alive() and not got, "a hard mount did not wait")
    write(os.path.join(grid.drive, "meanwhile"), content("meanwhile"))  # nothing else waits
    check(read(os.path.join(grid.drive, "meanwhile")) == content("meanwhile"), "others wait as well")
    grid.start_server()
    reader.join(LONG)
    check(got == [content("patient")], f"read {got[:1]}")
    grid.unmount()


def case_full_disk(grid):
    if os.geteuid() != 0:
        return "only root can make a small disk"
    small = os.path.join(grid.work, "small")
    os.mkdir(small)
    run("mount", "-t", "tmpfs", "-o", "size=72m,mode=700", "none", small)
    try:
        grid.mount("-o", f"cache_dir={small},cache_size=1M,min_free=8M")
        os.listdir(grid.drive)
        stop_grid(grid)
        kept, slowest = 0, 0.0
        try:
            while kept < 500:
                begin = time.monotonic()
                write(os.path.join(grid.drive, f"full{kept}"), content(kept, 300_000))
                slowest = max(slowest, time.monotonic() - begin)
                kept += 1
            raise Failed("150 MB on a disk of 72 MB")
        except OSError as error:
            check(error.errno == errno.ENOSPC, f"{error}")
        check(kept > 10, f"only {kept} files")
        check(os.statvfs(small).f_bavail * os.statvfs(small).f_frsize > 4 << 20,
              "what is to stay free was taken")
        os.mkdir(os.path.join(grid.drive, "names still have their place"))
        for n in range(kept):
            check(read(os.path.join(grid.drive, f"full{n}")) == content(n, 300_000), f"file {n}")
        kill_daemon(grid)
        grid.mount("-o", f"cache_dir={small},cache_size=1M,min_free=8M")
        for n in range(kept):
            check(read(os.path.join(grid.drive, f"full{n}")) == content(n, 300_000),
                  f"file {n} after a kill")
        grid.start_server()
        grid.command("flush")

        def room_again():
            try:
                write(os.path.join(grid.drive, "room"), content("room", 300_000))
                return True
            except OSError as error:
                check(error.errno == errno.ENOSPC, f"{error}")
                return False
        wait_for(room_again, "room again")
        grid.unmount()
        for n in range(0, kept, 7):
            check(on_another_machine(grid, f"full{n}") == content(n, 300_000), f"{n} on the grid")
        check(on_another_machine(grid, "room") == content("room", 300_000), "what came later")
    finally:
        if grid.daemon:
            end_daemon(grid)
        run("umount", "-l", small)


def journal_of(grid):
    folder = os.path.join(grid.node, "private", "drive", "journal")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(".journal")]


def with_files_that_wait(grid, names):
    """Killed with these files acknowledged and nothing of them on the grid."""
    grid.mount()
    grid.unmount()  # what was read is on the disk now; without that a mount needs the grid
    grid.mount()
    os.listdir(grid.drive)
    stop_grid(grid)
    for name in names:
        with open(os.path.join(grid.drive, name), "wb") as file:
            file.write(content(name))
            os.fsync(file.fileno())
    kill_daemon(grid)


def seen(grid, names):
    out = []
    for name in names:
        try:
            got = read(os.path.join(grid.drive, name))
        except FileNotFoundError:
            continue
        check(got in (content(name), b""), f"{name} has content that nobody wrote")
        if got:
            out.append(name)
    return out


def case_damaged_journal(grid):
    names = [f"journaled{n}" for n in range(8)]
    with_files_that_wait(grid, names)
    journal = next(path for path in journal_of(grid) if read(path).count(b"rec1") > 20)
    data = bytearray(read(journal))
    at = -1
    for _ in range(12):
        at = data.index(b"rec1", at + 1)
    data[at + 40] ^= 1
    write(journal, data)
    grid.start_server()
    grid.mount()
    check(status(grid)["queue"]["warnings"], "nothing is said of the damage")
    check("warning" in grid.command("status").stdout.decode(), "lafs status says nothing")
    check(len(seen(grid, names)) >= len(names) - 1, f"only {seen(grid, names)} are left")
    check(any(".damaged-" in name for name in os.listdir(os.path.dirname(journal))),
          "no copy of the damaged journal")
    grid.command("flush")
    for name in seen(grid, names):
        check(on_another_machine(grid, name) == content(name), f"{name} elsewhere")
    grid.unmount()


def case_missing_database(grid):
    names = [f"stored{n}" for n in range(8)]
    with_files_that_wait(grid, names)
    grid.mount()  # a clean end makes a checkpoint: all of it is in the database
    end_daemon(grid)
    private = os.path.join(grid.node, "private")
    shutil.rmtree(os.path.join(private, "drive", "store"))
    shutil.rmtree(os.path.join(private, "cache"), ignore_errors=True)
    grid.start_server()
    grid.mount()
    there = seen(grid, names)  # what the journal still says
    grid.unmount()
    rescued = os.path.join(grid.work, "rescued")
    grid.command("rescue", rescued)
    for name in set(names) - set(there):  # whole pages: where such a file ends is not known any more
        check(read(os.path.join(rescued, name)).startswith(content(name)), f"{name} is lost")


def case_damaged_read_cache(grid):
    grid.mount()
    write(os.path.join(grid.drive, "cached"), content("cached", 300_000))
    grid.command("flush")
    kill_daemon(grid)
    for name in ("segments.mdb", "listings.mdb"):
        path = os.path.join(grid.node, "private", "cache", name)
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            for at in range(0, size, 4096):
                file.seek(at + 100)
                file.write(b"\xff" * 16)
    grid.mount()
    check(read(os.path.join(grid.drive, "cached")) == content("cached", 300_000), "wrong bytes")
    grid.unmount()


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


def main():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` cleans up
    failed = 0
    for case in CASES:
        name = case.__name__[5:]
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        work = os.path.realpath(tempfile.mkdtemp(prefix="lafs-trouble-"))
        grid = Grid(os.path.abspath(sys.argv[1]), work)
        began = time.monotonic()
        try:
            grid.start()
            skipped = case(grid)
            print(f"{'skip' if skipped else 'ok'}    {name.replace('_', ' ')}"
                  f"{': ' + skipped if skipped else ''} ({time.monotonic() - began:.1f} s)", flush=True)
        except (Failed, OSError, StopIteration, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAIL  {name.replace('_', ' ')}: {type(error).__name__}: {error}", flush=True)
        finally:
            grid.close()
            shutil.rmtree(work, ignore_errors=True)
    print(f"{failed} failed" if failed else "all cases passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
