#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""status, flush and umount while a queue of a thousand files drains through slow proxies.

usage: drain_test.py LAFS TCP_PROXY
"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxied_grid import ProxiedGrid  # noqa: E402

FILES = 1000


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def wait_for(condition, what, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < limit, "waited in vain for " + what)
        time.sleep(0.05)


def content(n):
    return f"file {n} ".encode() * 20


def state(path):
    return os.getxattr(path, "user.lafs.state").decode()


def lafs(grid, *words):
    return subprocess.run([grid.lafs, *words], env=grid.env, cwd=grid.work, capture_output=True,
                          text=True, timeout=300)


def drain(grid, top):
    def queue():
        return json.loads(lafs(grid, "status", "--json").stdout)["daemon"]["queue"]

    grid.run("mount", top)
    with open(f"{top}/early", "wb") as f:
        f.write(b"early " * 100)
    grid.run("flush", f"{top}/early")
    check(state(f"{top}/early") == "clean", "flush PATH left it " + state(f"{top}/early"))

    # Nothing moves: what waits for the grid says so in time, and nothing else waits.
    grid.all("stall on")
    os.mkdir(f"{top}/many")
    for n in range(FILES):
        with open(f"{top}/many/{n}", "wb") as f:
            f.write(content(n))
    check(queue()["files"] == FILES, f"the queue: {queue()}")
    # Those who failed in vain wait a while, and then only one of them tries again.
    wait_for(lambda: any(item["state"] == "running" and item["path"].startswith("/many")
                         for item in queue()["items"]), "an item that is shown as running")
    check(state(f"{top}/many/1") != "clean", "it cannot be there")
    begin = time.monotonic()
    done = lafs(grid, "flush", "--timeout", "1")
    check(done.returncode != 0 and "changes are not on the grid yet" in done.stderr,
          f"flush --timeout: {done.returncode} {done.stderr}")
    done = lafs(grid, "umount", "--timeout", "1", top)
    check(done.returncode != 0 and os.path.ismount(top),
          f"umount --timeout: {done.returncode} {done.stderr}")
    check(time.monotonic() - begin < 60, "--timeout takes too long")
    with open(f"{top}/many/7", "rb") as f:
        check(f.read() == content(7), "reading what waits")

    # A slow grid: the queue drains, and one file can be waited for.
    grid.all("clear")
    grid.all("rtt 20")
    grid.all("bandwidth 5000000")
    with open(f"{top}/wanted", "wb") as f:
        f.write(b"wanted " * 100)
    grid.run("flush", f"{top}/wanted")
    check(state(f"{top}/wanted") == "clean", "flush PATH left it " + state(f"{top}/wanted"))
    wait_for(lambda: queue()["files"] < FILES // 2, "half of the queue")
    now = queue()
    check(now["files"] == 0 or now["bytes_per_second"] > 0, f"no speed: {now}")
    check(now["stored_files"] > 0, f"nothing stored: {now}")
    shown = lafs(grid, "status").stdout
    check("on their way" in shown or "everything is on the grid" in shown, "status: " + shown)

    done = lafs(grid, "umount", top)
    check(done.returncode == 0 and not os.path.ismount(top), f"umount: {done.stderr}")
    wait_for(lambda: json.loads(lafs(grid, "status", "--json").stdout)["daemon"] is None,
             "the daemon to end")
    grid.all("clear")
    listed = lafs(grid, "ls", "tahoe:many").stdout.split()
    check(len(listed) == FILES, f"{len(listed)} of {FILES} files are on the grid after umount")
    for n in (0, 7, FILES - 1):
        check(grid.run("cat", f"tahoe:many/{n}", text=False) == content(n), f"content of {n}")


def main():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    program = [os.path.abspath(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="lafs-drain-", ignore_cleanup_errors=True) as work:
        top = os.path.join(work, "mnt")
        os.mkdir(top)
        with ProxiedGrid(*program, work, servers=5, shares="3,4,5") as grid:
            try:
                drain(grid, top)
            except BaseException:
                grid.all("clear")
                sys.stderr.write(lafs(grid, "status").stdout)
                raise
            finally:
                if os.path.ismount(top):
                    lafs(grid, "umount", "--now", "--lazy", top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
