#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lafs serve ftp on a grid of a real server: quotas, what 226 says when data has to reach the grid, and uploads that are
on their way to the grid before their end has come. durability_test.py LAFS"""

import contextlib
import ftplib
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

LAFS = sys.argv[1]
PART = random.Random(1).randbytes(600_000)
LARGE = random.Random(2).randbytes(24 << 20)


def lafs(*words, **more):
    return subprocess.run([LAFS, *words], check=True, capture_output=True, timeout=120, **more).stdout


@contextlib.contextmanager
def serving(node, *options, clean=True):
    process = subprocess.Popen([LAFS, "--node", node, "serve", "ftp", "--addr", "127.0.0.1:0", *options],
                               stdout=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline()
        assert "ftp server on" in said, said
        process.port = int(said.split()[3].rsplit(":", 1)[1])
        yield process
        process.terminate()
        status = process.wait(120)
        assert status == 0 or not clean, status
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def login(server, account):
    ftp = ftplib.FTP(timeout=120)
    ftp.connect("127.0.0.1", server.port)
    ftp.login(account, "secret")
    return ftp


def refused(code, action):
    try:
        action()
    except ftplib.Error as error:
        assert str(error).startswith(code), error
        return
    raise AssertionError(f"{code} was expected")


def put(ftp, name, content=PART):
    return ftp.storbinary("STOR " + name, io.BytesIO(content))


def get(ftp, name):
    out = io.BytesIO()
    ftp.retrbinary("RETR " + name, out.write)
    return out.getvalue()


def quota(server):
    ftp = login(server, "small")
    put(ftp, "a")
    assert ftp.sendcmd("AVBL") == "213 400000", ftp.sendcmd("AVBL")
    refused("552", lambda: put(ftp, "b"))
    # What came of it takes no room.
    assert ftp.nlst() == ["a"] and ftp.sendcmd("AVBL") == "213 400000", ftp.sendcmd("AVBL")
    # Said beforehand, it is refused before anything is sent.
    refused("552", lambda: ftp.sendcmd(f"ALLO {len(PART)}"))
    # What goes away makes room, and the other account of the same root has no limit.
    ftp.delete("a")
    put(ftp, "b")
    other = login(server, "large")
    put(other, "c")
    put(other, "d")
    refused("552", lambda: put(ftp, "e"))
    assert sorted(other.nlst()) == ["b", "c", "d"] and get(other, "b") == PART


def stored(grid):
    """Bytes of shares on the servers, complete or not."""
    total = 0
    for folder, _, files in os.walk(grid):
        if "shares" in pathlib.Path(folder).parts:
            for file in files:
                with contextlib.suppress(FileNotFoundError):  # it has just become complete
                    total += os.stat(os.path.join(folder, file)).st_blocks * 512
    return total


def streams(server, grid):
    """With its size said by ALLO, an upload reaches the servers while it comes."""
    ftp = login(server, "large")
    ftp.voidcmd("TYPE I")
    before = stored(grid)
    ftp.sendcmd(f"ALLO {len(LARGE)}")
    data = ftp.transfercmd("STOR streamed")
    data.sendall(LARGE[:20 << 20])
    deadline = time.monotonic() + 60
    while stored(grid) < before + (8 << 20):
        assert time.monotonic() < deadline, "nothing of it came to the servers"
        time.sleep(0.05)
    data.sendall(LARGE[20 << 20:])
    data.close()
    assert ftp.voidresp().startswith("226")
    assert get(ftp, "streamed") == LARGE
    # One that breaks its word is stored all the same.
    for size in (len(LARGE) - 5, len(LARGE) + 5):
        ftp.sendcmd(f"ALLO {size}")
        put(ftp, "other", LARGE)
        assert get(ftp, "other") == LARGE


def main():
    work = tempfile.mkdtemp(prefix="lafs-ftp-")
    grid, node = os.path.join(work, "grid"), os.path.join(work, "node")
    try:
        lafs("grid", "start", "--servers", "1", "--dir", grid)
        lafs("--node", node, "create-node", "--grid", os.path.join(grid, "servers.yaml"), "--shares", "1,1,1")
        for name, more in (("small", ["--quota", "1MB"]), ("large", [])):
            lafs("--node", node, "accounts", "add", name, "--password-stdin", *more, input=b"secret\n")
        with serving(node) as server:
            quota(server)
        # 226 says that it is on the grid: nothing is left to be done when the server dies.
        with serving(node, "--durability", "grid", clean=False) as server:
            streams(server, grid)
            put(login(server, "large"), "safe")
            server.kill()
        for name, content in (("safe", PART), ("streamed", LARGE), ("other", LARGE)):
            assert lafs("--node", node, "get", "tahoe:" + name, "-") == content, name
        # And when it cannot get there, it says so; it is not lost for that.
        with serving(node, "--durability", "grid", clean=False) as server:
            ftp = login(server, "large")
            ftp.nlst()
            lafs("grid", "stop", "--dir", grid)
            refused("4", lambda: put(ftp, "unsafe"))
        lafs("grid", "start", "--dir", grid)
        with serving(node) as server:
            assert get(login(server, "large"), "unsafe") == PART
        assert lafs("--node", node, "get", "tahoe:unsafe", "-") == PART
        print("ok")
        return 0
    finally:
        subprocess.run([LAFS, "grid", "stop", "--dir", grid], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
