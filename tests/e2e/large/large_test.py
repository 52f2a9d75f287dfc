#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file of more than 12 GiB, whose shares have more than 4 GiB each: layout version 2.

usage: large_test.py LAFS          with LAFS_LARGE_TESTS=1 only; needs 13 GB of disk and some minutes

The file is sparse here, with random bytes at the places where 32-bit arithmetic would go wrong.
"""
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

GIB = 1 << 30
SIZE = 12 * GIB + 5_000_001
MARK = 70_000


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def write_sparse(name):
    with open(name, "wb") as f:
        f.truncate(SIZE)
        for at in (0, 2 * GIB, 4 * GIB, 8 * GIB, 12 * GIB, SIZE - MARK // 2):
            f.seek(max(0, at - MARK // 2))
            f.write(os.urandom(min(MARK, SIZE - f.tell())))


def digest(stream):
    out = hashlib.sha256()
    while block := stream.read(1 << 20):
        out.update(block)
    return out.hexdigest()


def main():
    if os.environ.get("LAFS_LARGE_TESTS", "0") in ("", "0"):
        print("SKIP: LAFS_LARGE_TESTS is not set")
        return 77
    lafs = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="lafs-large-", dir="/var/tmp") as work:
        env = dict(os.environ, LAFS_NODE=f"{work}/node", NO_COLOR="1")

        def run(*words, text=True):
            done = subprocess.run([lafs, *map(str, words)], env=env, capture_output=True, cwd=work)
            check(done.returncode == 0, f"lafs {words[0]}: {done.stderr.decode()[-1000:]}")
            return done.stdout.decode() if text else done.stdout

        try:
            run("grid", "start", "--servers", 3, "--dir", "grid")
            run("create-node", "--grid", "grid/servers.yaml", "--shares", "3,3,3")
            name = f"{work}/large"
            write_sparse(name)
            cap = run("put", name).strip()
            print("ok stored", flush=True)
            # The others are those of the node's root directory.
            shares = [share for share in glob.glob(f"{work}/grid/server-*/storage/shares/*/*/*")
                      if os.path.getsize(share) > GIB]
            check(len(shares) == 3, f"{shares}")
            for share in shares:
                check(os.path.getsize(share) > 4 * GIB, "a share of less than 4 GiB")
                with open(share, "rb") as f:
                    f.seek(12)  # the container's header
                    check(f.read(4) == b"\0\0\0\2", "not layout version 2")
            with open(name, "rb") as f:
                for middle in (0, 2 * GIB, 4 * GIB, 8 * GIB, 12 * GIB, SIZE):
                    at = max(0, middle - MARK)
                    f.seek(at)
                    got = run("cat", cap, "--offset", at, "--length", 2 * MARK, text=False)
                    check(got == f.read(2 * MARK), f"other bytes around {middle}")
                print("ok ranges", flush=True)
                f.seek(0)
                expected = digest(f)
            with subprocess.Popen([lafs, "cat", cap], env=env, stdout=subprocess.PIPE) as whole:
                check(digest(whole.stdout) == expected, "other bytes in the whole file")
            check(whole.returncode == 0, "cat failed")
            print("ok whole", flush=True)
            report = json.loads(run("check", "--verify", cap, "--json"))
            check(report["shares_good"] == 3, f"{report}")
            print("ok verified")
        finally:
            subprocess.run([lafs, "grid", "stop", "--dir", f"{work}/grid"], capture_output=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
