#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A grid that is known from introducers alone: joined, lost, found again, and started without them.

usage: introducer_test.py LAFS
"""
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

OK, CONFIG = 0, 5


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def wait_until(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"never: {what}")
        time.sleep(0.05)


class World:
    def __init__(self, lafs, work):
        self.lafs, self.work = lafs, work
        self.grid = os.path.join(work, "grid")
        self.processes = []

    def run(self, *words, node=None, status=OK, timeout=90):
        env = dict(os.environ, LAFS_NODE=os.path.join(self.work, node or "node"), NO_COLOR="1")
        done = subprocess.run([self.lafs, *map(str, words)], capture_output=True, env=env,
                              timeout=timeout, stdin=subprocess.DEVNULL)
        check(status is None or done.returncode == status,
              f"lafs {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def serve(self, *words, node):
        env = dict(os.environ, LAFS_NODE=os.path.join(self.work, node), NO_COLOR="1")
        log = open(os.path.join(self.work, node + ".log"), "ab")
        return subprocess.Popen([self.lafs, "--log", "info", "serve", *words], env=env, stdout=log,
                                stderr=log, stdin=subprocess.DEVNULL)

    def furl(self):
        with open(os.path.join(self.grid, "introducer", "private", "introducer.furl")) as f:
            return f.read().strip()

    def introducer_pid(self):
        with open(os.path.join(self.grid, "introducer", "lafs.pid")) as f:
            return int(f.read())

    def kill_introducer(self):
        pid = self.introducer_pid()
        os.kill(pid, signal.SIGKILL)
        lock = os.path.join(self.grid, "introducer", "lafs.pid")
        subprocess.run(["flock", "-w", "20", lock, "true"], check=True)

    def known(self, node):
        """Servers that a node remembers of its introducer."""
        cache = os.path.join(self.work, node, "private", "introducer_introducer_cache.yaml")
        if not os.path.exists(cache):
            return 0
        with open(cache) as f:
            return sum(line.startswith("- ") for line in f)


def joined_by_introducer_alone(w):
    w.run("grid", "start", "--servers", 4, "--dir", w.grid)
    status = json.loads(w.run("grid", "status", "--dir", w.grid, "--json").stdout)
    check(status["introducer"]["state"] == "up", status)
    w.run("create-node", "--introducer", w.furl(), "--shares", "2,3,4")
    check(not os.path.exists(os.path.join(w.work, "node", "private", "servers.yaml")), "servers.yaml")
    with open(os.path.join(w.work, "hello"), "w") as f:
        f.write("hello " * 1000)
    w.run("put", os.path.join(w.work, "hello"), "tahoe:hello")
    check(w.run("cat", "tahoe:hello").stdout == b"hello " * 1000, "content")
    wait_until("all four are known",
               lambda: len(json.loads(w.run("status", "--json").stdout)["servers"]) == 4)


def started_without_it_from_memory(w):
    wait_until("all four remembered", lambda: w.known("node") == 4)
    def doctor_says(verdict, word):
        done = w.run("doctor", "--json", status=None)
        look = {one["subject"]: one for one in json.loads(done.stdout)["findings"]}
        one = look.get("introducer introducer", {"verdict": "", "what": ""})
        return one["verdict"] == verdict and word in one["what"]
    wait_until("doctor asks it", lambda: doctor_says("ok", "connected"), 60)
    w.kill_introducer()
    check(w.run("cat", "tahoe:hello").stdout == b"hello " * 1000, "content from memory")
    wait_until("doctor misses it", lambda: doctor_says("warning", "refused"), 60)
    # A node that has never heard of a server says who was asked and what came of it.
    done = w.run("create-node", "--introducer", w.furl(), "--shares", "2,3,4", node="fresh", status=4)
    check(b"introducer" in done.stderr and b"refused" in done.stderr.lower(), done.stderr)


def told_again_after_its_return(w):
    state = os.path.join(w.grid, "introducer", "private", "announcements.yaml")
    check(os.path.exists(state), "the introducer kept nothing")
    os.unlink(state)  # all that it knows now comes from the servers again
    w.run("grid", "start", "--dir", w.grid)
    wait_until("the servers come back", lambda: os.path.exists(state) and
               sum(1 for line in open(state) if line.startswith("- ")) == 4, 60)
    w.run("create-node", "--introducer", w.furl(), "--shares", "2,3,4", node="late")
    w.run("ls", "tahoe:", node="late")


def two_that_exchange_and_one_dies(w):
    """A server that announces itself to one is heard of at the other; either may be down."""
    furls, running = [], []
    try:
        ports = [free_port(), free_port()]
        for name, port in zip(("first", "second"), ports):
            w.run("create-node", "--no-root", node=name)
            running.append(w.serve("introducer", "--addr", f"127.0.0.1:{port}", node=name))
            at = os.path.join(w.work, name, "private", "introducer.furl")
            wait_until("its address", lambda: os.path.exists(at))
            with open(at) as f:
                furls.append(f.read().strip())
        # They learn of each other while they run.
        for name, other, process in zip(("first", "second"), reversed(furls), running):
            with open(os.path.join(w.work, name, "private", "introducers.yaml"), "w") as f:
                f.write(f"introducers:\n  other:\n    furl: {other}\n")
            process.send_signal(signal.SIGHUP)
        # The grid's own servers announce themselves to the first one, too.
        for i in range(1, 5):
            node = os.path.join(w.grid, f"server-{i}")
            with open(os.path.join(node, "private", "introducers.yaml"), "a") as f:
                f.write(f"  first:\n    furl: {furls[0]}\n")
            with open(os.path.join(node, "lafs.pid")) as f:
                os.kill(int(f.read()), signal.SIGHUP)
        state = os.path.join(w.work, "second", "private", "announcements.yaml")
        wait_until("the second hears of all four", lambda: os.path.exists(state) and
                   sum(1 for line in open(state) if line.startswith("- ")) == 4, 90)
        running[0].kill()
        running[0].wait()
        # A client that knows both, in this order, and one that knows the living one alone.
        w.run("create-node", "--introducer", furls[0], "--introducer", furls[1], "--shares", "2,3,4",
              node="both")
        w.run("create-node", "--introducer", furls[1], "--shares", "2,3,4", node="other")
        w.run("put", os.path.join(w.work, "hello"), "tahoe:there", node="other")
        status = json.loads(w.run("status", "--json", node="both").stdout)
        check(len(status["servers"]) == 4 and status["can_upload"], status)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def bad_addresses_are_named(w):
    done = w.run("create-node", "--introducer", "pb://nonsense", node="bad", status=CONFIG)
    check(b"pb://" in done.stderr or b"FURL" in done.stderr or b"address" in done.stderr, done.stderr)
    other = w.furl().split("@")
    wrong = "pb://" + "a" * 32 + "@" + other[1]
    done = w.run("create-node", "--introducer", wrong, node="wrong", status=4)
    check(b"TubID" in done.stderr or b"refused" in done.stderr, done.stderr)


def options_are_checked_shown_and_taken_over(w):
    node = os.path.join(w.work, "node")
    check(w.run("config", "check").stdout.endswith(b"nothing to complain about\n"), "a fresh node")
    with open(os.path.join(node, "tahoe.cfg"), "a") as f:
        f.write("\n[client]\nshares.hapy = 3\n[stroage]\nenabled = false\n")
    lines = w.run("config", "check", status=CONFIG).stdout.decode()
    check('did you mean "shares.happy"?' in lines and 'did you mean "storage"?' in lines, lines)
    check("tahoe.cfg:" in lines, "no line numbers")
    # The environment wins, and is said to be where a value is from; secrets are left out.
    os.environ["LAFS_CLIENT_SHARES_TOTAL"] = "5"
    try:
        shown = json.loads(w.run("config", "show", "--json").stdout)
    finally:
        del os.environ["LAFS_CLIENT_SHARES_TOTAL"]
    check(shown["shares"] == "2,3,5", shown["shares"])
    check(shown["options"]["client"]["shares.total"]["where"] == "$LAFS_CLIENT_SHARES_TOTAL", shown)
    table = w.run("config", "show").stdout.decode()
    check(w.furl().rsplit("/", 1)[1] not in table and "introducer" in table, "a secret is shown")
    # A copy knows the same grid and the same files; a node that is there is left alone.
    w.run("node", "import", node, node="copy")
    check(w.run("cat", "tahoe:hello", node="copy").stdout == b"hello " * 1000, "through the copy")
    w.run("node", "import", node, node="copy", status=1)


def the_example_of_a_tahoe_node(w):
    """`lafs --node` on the directory of the vectors: what Tahoe makes of it."""
    vectors = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "vectors")
    with open(os.path.join(vectors, "node_dir_files.json")) as f:
        files = json.load(f)["files"]
    with open(os.path.join(vectors, "node_dir.json")) as f:
        meaning = json.load(f)["meaning"]
    node = os.path.join(w.work, "tahoe")
    for name, content in files.items():
        path = os.path.join(node, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(content))
    os.chmod(os.path.join(node, "private"), 0o700)
    before = {name: open(os.path.join(node, name), "rb").read() for name in files}

    def ask(*words, status=OK):
        return json.loads(w.run("--node", node, *words, "--json", status=status).stdout)
    check(w.run("--node", node, "config", "check").stdout.endswith(b"nothing to complain about\n"), "?")
    shown, running = ask("config", "show"), meaning["running_node"]
    check(shown["nickname"] == running["nickname"], shown["nickname"])
    check(shown["shares"] == "{k},{happy},{n}".format(**running["encoding"]), shown["shares"])
    check(shown["mutable_format"].upper() == running["mutable_default"], shown["mutable_format"])
    check(shown["introducers"] == list(meaning["introducers"]), shown["introducers"])
    said = {(option["section"], option["key"].lower()): option["value"]
            for option in meaning["configuration"]}
    for section, options in shown["options"].items():
        for key, option in options.items():
            wanted = said.get((section, key), option["value"])
            if isinstance(wanted, bool):
                check((option["value"] in ("true", "yes", "on", "1")) == wanted, (section, key, option))
            else:
                check(option["value"] == wanted, (section, key, option))
    aliases = {one["alias"]: one["cap"] for one in ask("list-aliases", "--caps")}
    check(aliases == meaning["aliases"], aliases)
    accounts = [one["name"] for one in ask("accounts", "list")]
    check(accounts == [one["user"] for one in meaning["accounts"]], accounts)
    status = ask("status", status=4)  # nobody is there any more
    check([(one["id"], one["nickname"]) for one in status["servers"]] ==
          [(one["server_id"], one["nickname"]) for one in running["static_servers"]], status["servers"])
    check("no grid manager vouches" in status["servers"][0]["certificate"], status["servers"])
    check([one["name"] for one in status["introducers"]] == list(meaning["introducers"]), status)
    for name, content in before.items():
        check(open(os.path.join(node, name), "rb").read() == content, f"{name} was changed")


def main():
    lafs = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp(prefix="lafs-introducer-")
    w = World(lafs, work)
    failed = 0
    try:
        for case in (joined_by_introducer_alone, started_without_it_from_memory,
                     told_again_after_its_return, two_that_exchange_and_one_dies,
                     bad_addresses_are_named, the_example_of_a_tahoe_node,
                     options_are_checked_shown_and_taken_over):
            begin = time.monotonic()
            try:
                case(w)
                print(f"ok      {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
            except (Failed, OSError, subprocess.SubprocessError, ValueError) as e:
                failed += 1
                print(f"FAILED  {case.__name__}: {e}", flush=True)
    finally:
        subprocess.run([lafs, "grid", "stop", "--dir", w.grid], capture_output=True)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
