#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutable files and directories on real servers that are stalled, killed and damaged.

usage: mutable_test.py LAFS TCP_PROXY
"""
import glob
import json
import os
import random
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../proxy"))
from proxied_grid import ProxiedGrid  # noqa: E402


def check(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def shares_of(grid, index):
    return sorted(glob.glob(f"{grid.directory}/server-*/storage/shares/{index[:2]}/{index}/*"))


def parts_of_files(grid):
    """put --mutable, put --offset and cat --offset do to a file what they do to a string."""
    rng = random.Random(5)
    for form in ("sdmf", "mdmf"):
        model = bytearray(rng.randbytes(5000 if form == "sdmf" else 300000))
        write(grid.work + "/data", model)
        grid.run("put", "--mutable", "--format", form, "data", f"tahoe:{form}")
        check(json.loads(grid.run("stat", "--json", f"tahoe:{form}"))["format"] == form.upper(),
              form)
        for offset, size in ((0, 10), (len(model) - 3, 10), (len(model) + 500, 7), (100, 3000)):
            piece = rng.randbytes(size)
            write(grid.work + "/piece", piece)
            grid.run("put", "piece", f"tahoe:{form}", "--offset", offset)
            if offset > len(model):
                model += bytes(offset - len(model))
            model[offset:offset + size] = piece
        check(grid.run("cat", f"tahoe:{form}", text=False) == bytes(model), f"{form}: contents")
        check(grid.run("cat", "--offset", 2000, "--length", 50, f"tahoe:{form}", text=False) ==
              bytes(model[2000:2050]), f"{form}: a range")
        # New contents under the same cap.
        before = grid.run("cap", f"tahoe:{form}")
        grid.run("put", "piece", f"tahoe:{form}")
        check(grid.run("cap", f"tahoe:{form}") == before, "the cap changed")
        check(grid.run("cat", f"tahoe:{form}", text=False) == piece, "replaced")
        # The same by the cap alone.
        cap = grid.run("put", "--mutable", "--format", form, "data").strip()
        grid.run("put", "piece", cap, "--offset", 1000)
        model = bytearray(open(grid.work + "/data", "rb").read())
        model[1000:1000 + len(piece)] = piece
        check(grid.run("cat", cap, text=False) == bytes(model), f"{form}: written into by its cap")
        grid.run("put", "piece", cap)
        check(grid.run("cat", cap, text=False) == piece, f"{form}: replaced by its cap")
    grid.run("put", "piece", grid.run("put", "data").strip(), status=2)  # is not mutable


def links_and_aliases(grid):
    grid.run("create-alias", "work")
    check("work:" in grid.run("list-aliases"), "list-aliases")
    grid.run("mkdir", "--format", "mdmf", "work:big")
    grid.run("add-alias", "big", "work:big")
    write(grid.work + "/f", b"contents that are too long for a literal cap, by some bytes at least")
    grid.run("put", "f", "big:f")
    grid.run("ln", "big:f", "work:same")
    check(grid.run("cap", "big:f") == grid.run("cap", "work:same"), "ln")
    grid.run("ln", "big:f", "work:same", status=1)
    created = json.loads(grid.run("stat", "--json", "--caps", "big:f"))
    grid.run("mv", "big:f", "work:moved")
    moved = json.loads(grid.run("stat", "--json", "--caps", "work:moved"))
    check(moved["cap"] == created["cap"] and moved["modified"] == created["modified"], "mv")
    # A cycle and a subtree that is linked twice.
    grid.run("ln", "work:", "work:big/up")
    grid.run("ln", "work:big", "work:again")
    lines = [json.loads(line) for line in grid.run("manifest", "--json", "work:").splitlines()]
    check([line["type"] for line in lines].count("directory") == 2, f"manifest: {lines}")
    check(lines[-1]["type"] == "stats", "the sums come last")
    stats = json.loads(grid.run("stats", "-r", "--json", "work:"))
    check(stats == lines[-1]["stats"], "stats -r")
    check(stats["count-directories"] == 2 and stats["count-immutable-files"] == 1, f"{stats}")


def copies_are_made_once(grid):
    tree = grid.work + "/tree/below"
    os.makedirs(tree)
    for i in range(20):
        write(f"{tree}/{i}", os.urandom(100))
    os.symlink("0", f"{tree}/link")
    first = json.loads(grid.run("cp", "-r", "--json", "tree", "tahoe:tree"))
    check(first["files"] == 21 and first["skipped"] == 0, f"{first}")
    write(f"{tree}/3", os.urandom(101))
    check(json.loads(grid.run("cp", "-r", "--json", "tree/below", "tahoe:tree/"))["files"] == 1,
          "only what changed is copied")
    back = json.loads(grid.run("cp", "-r", "--json", "tahoe:tree", "copy"))
    check(back["files"] == 21, f"{back}")
    check(json.loads(grid.run("cp", "-r", "--json", "tahoe:tree/below", "copy"))["files"] == 0,
          "nothing is fetched twice")


def trouble(grid):
    """Everything goes on while a server is silent, one is dead, and shares are damaged."""
    grid.run("mkdir", "tahoe:d")
    write(grid.work + "/f", b"x" * 100)
    grid.run("put", "f", "tahoe:d/f")
    cap = grid.run("cap", "tahoe:d").strip()
    index = json.loads(grid.run("stat", "--json", "tahoe:d"))["storage_index"]
    grid.proxies[0]("stall on")
    grid.run("put", "f", "tahoe:d/g")
    check(grid.run("ls", "tahoe:d").split() == ["f", "g"], "with a silent server")
    grid.proxies[0]("stall off")
    # The silent one holds an old version: a check says so, a repair brings it up to date.
    grid.run("repair", "tahoe:d")
    grid.run("check", "--verify", "tahoe:d")
    # A byte of a share is turned, and another share is lost.
    files = shares_of(grid, index)
    check({os.path.basename(f) for f in files} == set("01234"), f"{files}")
    with open(files[1], "r+b") as f:
        f.seek(468 + 900)
        byte = f.read(1)
        f.seek(468 + 900)
        f.write(bytes([byte[0] ^ 1]))
    os.unlink(files[2])
    grid.run("check", "--verify", "tahoe:d", status=1)
    check(grid.run("ls", "tahoe:d").split() == ["f", "g"], "with damaged shares")
    grid.run("repair", "--verify", "tahoe:d")
    grid.run("check", "--verify", "tahoe:d")
    # Killed.
    with open(f"{grid.directory}/server-1/lafs.pid") as f:
        os.kill(int(f.read().split()[0]), signal.SIGKILL)
    grid.run("put", "f", "tahoe:d/h")
    grid.run("mv", "tahoe:d/f", "tahoe:d/i")
    check(grid.run("ls", cap).split() == ["g", "h", "i"], "with a dead server")
    grid.run("grid", "start", "--dir", grid.directory)
    check(grid.run("ls", cap).split() == ["g", "h", "i"], "and when it is back")


def lost_version(grid):
    """A newer version of which too few shares are left is told of, and given up when told so."""
    write(grid.work + "/one", b"one" * 100)
    write(grid.work + "/two", b"two" * 100)
    grid.run("put", "--mutable", "one", "tahoe:competing")
    index = json.loads(grid.run("stat", "--json", "tahoe:competing"))["storage_index"]
    old = {}
    for path in shares_of(grid, index):
        with open(path, "rb") as f:
            old[path] = f.read()
    check(len(old) == 5, f"{old.keys()}")
    grid.run("put", "two", "tahoe:competing")
    for path in list(old)[1:]:  # one share of the new version stays, three make a file
        write(path, old[path])
    done = subprocess.run([grid.lafs, "cat", "tahoe:competing"], env=grid.env, timeout=120,
                          capture_output=True)
    check(done.stdout == b"one" * 100, f"{done}")
    check(b"is newer than" in done.stderr and b"repair --force" in done.stderr, f"{done.stderr}")
    grid.run("check", "tahoe:competing", status=1)
    refused = subprocess.run([grid.lafs, "repair", "tahoe:competing"], env=grid.env, timeout=120,
                             capture_output=True)
    check(refused.returncode != 0 and b"repair --force" in refused.stdout, f"{refused}")
    grid.run("repair", "--force", "tahoe:competing")
    grid.run("check", "--verify", "tahoe:competing")
    done = subprocess.run([grid.lafs, "cat", "tahoe:competing"], env=grid.env, timeout=120,
                          capture_output=True)
    check(done.stdout == b"one" * 100 and b"is newer than" not in done.stderr, f"{done}")


def main():
    lafs, proxy = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="lafs-mutable-") as work, \
            ProxiedGrid(lafs, proxy, work) as grid:
        for case in (parts_of_files, links_and_aliases, copies_are_made_once, trouble,
                     lost_version):
            case(grid)
            print(f"ok: {case.__name__}", flush=True)


main()
