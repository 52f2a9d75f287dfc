#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Uploads, downloads, checks and repairs with real servers that go bad, behind TCP proxies.

usage: tail_test.py LAFS TCP_PROXY
"""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxied_grid import ProxiedGrid  # noqa: E402

MB = 1_000_000


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def timed(action):
    begin = time.monotonic()
    result = action()
    return result, time.monotonic() - begin


def shares_of(grid):
    return [p for p in glob.glob(f"{grid.directory}/server-*/storage/shares/*/*/*")
            if "/incoming/" not in p]


def incoming_of(grid):
    return set(glob.glob(f"{grid.directory}/server-*/storage/shares/incoming/*/*/*"))


def downloads_survive_bad_servers(grid, data, cap):
    """With n-k of five servers bad in any way, what is read is right, and soon there."""
    for command in ("stall on", "refuse on", "corrupt-at 5000", "cut-after 5000", "rtt 3000"):
        for proxy in grid.proxies[:2]:
            proxy(command)
        got, took = timed(lambda: grid.run("cat", cap, text=False))
        check(got == data, f"{command}: other bytes were read")
        check(took < 15, f"{command}: {took:.1f} s")
        for proxy in grid.proxies[:2]:
            proxy("refuse off")
            proxy("clear")


def a_server_that_stalls_during_an_upload_is_replaced(grid):
    data = os.urandom(6 * MB)
    name = os.path.join(grid.work, "big")
    with open(name, "wb") as f:
        f.write(data)
    # Slow enough that the stall comes in the middle.
    grid.all("bandwidth 2000000")
    before = set(shares_of(grid))
    putting = subprocess.Popen([grid.lafs, "put", name], env=grid.env, stdout=subprocess.PIPE)
    victim = grid.proxies[1]
    sent = victim.stats()["to-server"]
    while victim.stats()["to-server"] < sent + 200_000:
        check(putting.poll() is None, "the upload ended before it could be hurt")
        time.sleep(0.01)
    victim("stall on")
    out = putting.communicate(timeout=100)[0].decode().strip()
    check(putting.returncode == 0, f"put: exit {putting.returncode}")
    grid.all("clear")
    # The server that stood still may finish its share as well, once it gets what was under way.
    homes = {os.path.basename(share) for share in set(shares_of(grid)) - before}
    check(homes == set("01234"), f"not every share has a home: {homes}")
    check(grid.run("cat", out, text=False) == data, "other bytes were read")


def a_stopped_upload_leaves_nothing(grid):
    name = os.path.join(grid.work, "stopped")
    with open(name, "wb") as f:
        f.write(os.urandom(20 * MB))
    grid.all("bandwidth 1000000")
    before = len(shares_of(grid))
    # A server that was not reachable when it was asked to forget may still have something.
    older = incoming_of(grid)
    putting = subprocess.Popen([grid.lafs, "put", name], env=grid.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not incoming_of(grid) - older:
        check(time.monotonic() < deadline, "nothing was sent")
        time.sleep(0.02)
    grid.all("clear")
    putting.send_signal(signal.SIGINT)
    putting.communicate(timeout=60)
    check(putting.returncode == 130, f"put: exit {putting.returncode}")
    check(len(shares_of(grid)) == before, "a share of a stopped upload is there")
    deadline = time.monotonic() + 5
    while incoming_of(grid) - older and time.monotonic() < deadline:
        time.sleep(0.05)
    left = incoming_of(grid) - older
    check(not left, f"half-written shares: {left}")


def a_pipe_of_known_size_is_stored_while_it_comes(grid):
    data = os.urandom(3 * MB)
    cap = grid.run("put", "-", "--size", len(data), stdin=data).strip()
    check(grid.run("cat", cap, text=False) == data, "other bytes were read")
    grid.run("put", "-", "--size", len(data) + 1, stdin=data, status=2)


def damage_is_found_and_repaired(grid, cap, data):
    index = json.loads(grid.run("check", cap, "--json"))["storage_index"]
    mine = sorted(p for p in shares_of(grid) if f"/{index}/" in p)
    check(len(mine) == 5, f"{len(mine)} shares")
    os.remove(mine[0])
    with open(mine[1], "r+b") as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))
    report = json.loads(grid.run("check", cap, "--json", status=1))
    check(report["shares_good"] == 4 and report["recoverable"], f"check: {report}")
    report = json.loads(grid.run("verify", cap, "--json", status=1))
    check(report["shares_good"] == 3 and len(report["corrupt"]) == 1, f"verify: {report}")
    report = json.loads(grid.run("check", "--verify", "--repair", cap, "--json"))
    check(report["repair"]["successful"], f"repair: {report['repair']}")
    check(report["repair"]["after"]["shares_good"] == 5, f"repair: {report['repair']}")
    report = json.loads(grid.run("verify", cap, "--json"))
    check(report["shares_good"] == 5, f"after repair: {report}")
    check(grid.run("cat", cap, text=False) == data, "other bytes were read")


def a_deep_check_goes_on_where_it_was(grid):
    """Interrupted in the middle; the next run takes what was healthy for granted, once."""
    tree = os.path.join(grid.work, "tree")
    os.makedirs(os.path.join(tree, "below"))
    for i in range(40):
        with open(os.path.join(tree, "below" if i % 2 else "", f"file{i}"), "wb") as f:
            f.write(os.urandom(100_000))
    # A first directory under an alias of its own, and a way back up: a tree with a cycle.
    grid.run("create-alias", "deep")
    grid.run("cp", "-r", tree, "deep:")
    grid.run("ln", "deep:tree", "deep:tree/below/up")
    words = ["check", "-r", "--verify", "deep:tree"]
    checking = subprocess.Popen([grid.lafs, *words, "--limit-rate", "300kB"], env=grid.env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checks = os.path.join(grid.node, "private", "checks", "*")

    def noted():
        return [line for name in glob.glob(checks) for line in open(name).readlines()[1:]]

    deadline = time.monotonic() + 60
    while len(noted()) < 3:
        check(checking.poll() is None, "the check ended before it could be stopped")
        check(time.monotonic() < deadline, "nothing was noted")
        time.sleep(0.02)
    checking.send_signal(signal.SIGINT)
    checking.communicate(timeout=60)
    check(checking.returncode == 130, f"check: exit {checking.returncode}")
    known = len(noted())
    indexes = [json.loads(line)["storage-index"]
               for line in grid.run("manifest", "--json", "deep:tree").splitlines()[:-1]]
    check(not set(indexes) & {line.strip() for line in noted()}, "storage indexes can be read")

    def summary(*more):
        return json.loads(grid.run(*words, "--json", *more).splitlines()[-1])["summary"]

    second = summary()
    check(second["healthy_before"] == known, f"{known} noted, {second}")
    check(second["checked"] == 42 - known, f"two directories and 40 files, {second}")
    check(not glob.glob(checks), "the state of a run that has ended is there")
    again = summary()
    check(again["healthy_before"] == 0 and again["healthy"] == 42, f"{again}")


def main():
    lafs, program = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="lafs-tail-") as work:
        with ProxiedGrid(lafs, program, work, servers=5, shares="3,3,5") as grid:
            data = os.urandom(4 * MB)
            cap = grid.run("put", "-", stdin=data).strip()
            for case, arguments in [(downloads_survive_bad_servers, (data, cap)),
                                    (a_stopped_upload_leaves_nothing, ()),
                                    (a_pipe_of_known_size_is_stored_while_it_comes, ()),
                                    (a_server_that_stalls_during_an_upload_is_replaced, ()),
                                    (a_deep_check_goes_on_where_it_was, ()),
                                    (damage_is_found_and_repaired, (cap, data))]:
                _, took = timed(lambda: case(grid, *arguments))
                print(f"ok {case.__name__} ({took:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
