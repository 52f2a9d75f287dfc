#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands, run as a person runs them, against storage servers on loopback.

usage: cli_test.py LAFS [--only NAME]

Starts its own servers on free ports in a temporary directory, runs every case below, and ends only
what it started, also when a case fails.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

OK, FAILED, USAGE, NOT_FOUND, GRID, CONFIG = 0, 1, 2, 3, 4, 5
GARBAGE_CAP = "URI:CHK:nonsense"
FOREIGN_CAP = ("URI:CHK:aaaaaaaaaaaaaaaaaaaaaaaaaa:"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:3:5:1000")


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


class World:
    """A grid of five servers and a node, below one temporary directory."""

    def __init__(self, lafs, work):
        self.lafs, self.work = lafs, work
        self.grid = os.path.join(work, "grid")
        self.node = os.path.join(work, "node")
        self.env = dict(os.environ, LAFS_NODE=self.node, NO_COLOR="1")
        self.started = []

    def path(self, name):
        return os.path.join(self.work, name)

    def run(self, *words, status=OK, stdin=b"", env=None, timeout=120):
        done = subprocess.run([self.lafs, *map(str, words)], input=stdin, capture_output=True,
                              env=env or self.env, timeout=timeout, cwd=self.work)
        error = done.stderr.decode(errors="replace")
        check(done.returncode == status,
              f"lafs {' '.join(map(str, words))}: exit {done.returncode}, not {status}\n"
              f"{done.stdout.decode(errors='replace')[-1000:]}{error[-1000:]}")
        return done

    def text(self, *words, **options):
        return self.run(*words, **options).stdout.decode()

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options).stdout)

    def complains(self, *words, status, about, **options):
        """One line on standard error that names the trouble, and nothing on standard output."""
        done = self.run(*words, status=status, **options)
        lines = done.stderr.decode().splitlines()
        check(len(lines) == 1, f"{words}: {len(lines)} lines of error: {lines}")
        check(lines[0].startswith("lafs: "), f"{words}: {lines[0]}")
        for word in [about] if isinstance(about, str) else about:
            check(word in lines[0], f"{words}: nothing about {word!r} in {lines[0]!r}")
        check(done.stdout == b"", f"{words}: {done.stdout!r} on standard output")

    def forget(self):
        """Nothing of what was read or written before is on this machine any more."""
        shutil.rmtree(os.path.join(self.node, "private", "cache"), ignore_errors=True)

    def start_grid(self, *more):
        self.run("grid", "start", "--servers", 5, "--dir", self.grid, *more)

    def pid(self, server):
        with open(f"{self.grid}/server-{server}/lafs.pid") as f:
            return int(f.read())

    def copy_of_node(self, name):
        """Another node directory of the same grid, to be spoilt."""
        path = self.path(name)
        shutil.copytree(self.node, path, symlinks=True)
        return path

    def close(self):
        if os.path.isdir(self.grid):
            subprocess.run([self.lafs, "grid", "stop", "--dir", self.grid], capture_output=True,
                           timeout=120)
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()


def write(path, content):
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


# --- the grid

def case_grid_start_is_idempotent_and_starts_only_what_is_down(w):
    before = read(f"{w.grid}/servers.yaml")
    pids = [w.pid(i) for i in range(1, 6)]
    again = w.json("grid", "start", "--servers", 5, "--dir", w.grid)
    check(again["started"] == 0 and again["servers"] == 5, f"{again}")
    check([w.pid(i) for i in range(1, 6)] == pids, "a server was started anew")
    os.kill(pids[1], signal.SIGKILL)
    w.run("grid", "stop", "--dir", w.grid, "--server", 4)
    states = {s["number"]: s["state"] for s in w.json("grid", "status", "--dir", w.grid)["servers"]}
    check(states == {1: "up", 2: "down", 3: "up", 4: "down", 5: "up"}, f"{states}")
    again = w.json("grid", "start", "--dir", w.grid)
    check(again["started"] == 2, f"{again}")
    check([w.pid(i) for i in (1, 3, 5)] == [pids[0], pids[2], pids[4]], "others were restarted")
    check(read(f"{w.grid}/servers.yaml") == before, "servers.yaml changed")


def case_every_server_has_its_own_key_port_and_folder(w):
    servers = w.json("grid", "status", "--dir", w.grid)["servers"]
    for what in ("id", "address", "directory", "pid"):
        check(len({s[what] for s in servers}) == 5, f"{what}: {servers}")
    for s in servers:
        check(os.stat(s["directory"] + "/private").st_mode & 0o777 == 0o700, "private/ is open")
        for name in ("node.pem", "storage.furl", "node.privkey"):
            mode = os.stat(f"{s['directory']}/private/{name}").st_mode & 0o777
            check(mode == 0o600, f"{name} has mode {mode:o}")


def case_stop_leaves_other_processes_alone(w):
    # A pid file that names a process which is none of ours: nobody holds its lock.
    sleeper = subprocess.Popen(["sleep", "60"])
    w.started.append(sleeper)
    w.run("grid", "stop", "--dir", w.grid, "--server", 3)
    write(f"{w.grid}/server-3/lafs.pid", f"{sleeper.pid}\n")
    stopped = w.json("grid", "stop", "--dir", w.grid, "--server", 3)
    check(stopped["stopped"] == [], f"{stopped}")
    check(sleeper.poll() is None, "somebody else's process was ended")
    w.run("grid", "start", "--dir", w.grid)


def case_a_second_server_on_one_directory_is_refused(w):
    w.complains("--node", f"{w.grid}/server-1", "serve", "storage", status=FAILED,
                about=["already", str(w.pid(1))])


def case_a_server_ends_cleanly_on_sigterm(w):
    pid = w.pid(5)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while w.json("grid", "status", "--dir", w.grid, "--server", 5)["servers"][0]["pid"]:
        check(time.monotonic() < deadline, "it does not end")
    check(b"stopping" in read(f"{w.grid}/server-5/log"), "it did not stop by itself")
    w.run("grid", "start", "--dir", w.grid)


def case_a_grid_that_is_none_says_so(w):
    w.complains("grid", "status", "--dir", w.path("nowhere"), status=NOT_FOUND, about="nowhere")
    w.complains("grid", "stop", "--dir", w.grid, "--server", 9, status=NOT_FOUND, about="9")
    w.complains("grid", "start", "--dir", w.path("x"), "--servers", 0, status=USAGE, about="--servers")


# --- a node

def case_the_node_has_its_files_and_a_root(w):
    for name in ("convergence", "secret", "aliases", "servers.yaml"):
        mode = os.stat(f"{w.node}/private/{name}").st_mode & 0o777
        check(mode == 0o600, f"{name} has mode {mode:o}")
    check(read(f"{w.node}/private/aliases").startswith(b"tahoe: URI:DIR2:"), "no root")
    check(read(f"{w.node}/private/servers.yaml") == read(f"{w.grid}/servers.yaml"), "servers.yaml")
    w.complains("create-node", "--grid", f"{w.grid}/servers.yaml", "--shares", "3,4,5",
                status=FAILED, about=w.node)


def case_create_node_refuses_nonsense(w):
    node = w.path("no-node")
    w.complains("--node", node, "create-node", "--shares", "3,2,1", status=USAGE, about="3,2,1")
    w.complains("--node", node, "create-node", "--grid", w.path("missing.yaml"), status=NOT_FOUND,
                about="missing.yaml")
    bad = write(w.path("bad.yaml"), "storage:\n  - [\n")
    w.complains("--node", node, "create-node", "--grid", bad, status=CONFIG, about="bad.yaml:")
    check(not os.path.exists(node + "/tahoe.cfg"), "a node was made")


def case_status_counts_the_servers(w):
    status = w.json("status")
    check(status["servers_up"] == 5 and status["can_upload"], f"{status}")
    check(status["shares"] == {"needed": 3, "happy": 4, "total": 5}, f"{status}")
    check(status["usable_space"] > 0, "no space")


# --- files

def case_files_survive_the_round_trip_at_every_size(w):
    for size in (0, 1, 55, 56, 1000, 131072, 1 << 20, (1 << 20) + 1, 3_500_000):
        content = os.urandom(size)
        source = write(w.path("in"), content)
        w.run("put", source, f"tahoe:size-{size}")
        check(w.run("cat", f"tahoe:size-{size}").stdout == content, f"{size} bytes changed")
        w.run("get", f"size-{size}", w.path("out"))
        check(read(w.path("out")) == content, f"{size} bytes changed")
        check(w.json("stat", f"tahoe:size-{size}")["size"] == size, "stat")


def case_pipes_work_both_ways(w):
    content = os.urandom(200_000)
    w.run("put", "-", "tahoe:piped", stdin=content)
    check(w.run("get", "tahoe:piped", "-").stdout == content, "changed")
    check(w.run("cat", "--offset", 1000, "--length", 10, "tahoe:piped").stdout
          == content[1000:1010], "range")
    cap = w.text("put", "-", stdin=content).strip()
    check(cap.startswith("URI:CHK:"), cap)
    check(w.run("cat", cap).stdout == content, "by cap")
    check(w.text("put", "-", stdin=content).strip() == cap, "not convergent")


def case_directories_hold_names(w):
    w.run("mkdir", "-p", "tahoe:d/e/f")
    w.run("mkdir", "-p", "tahoe:d/e/f")
    w.complains("mkdir", "tahoe:d", status=FAILED, about="tahoe:d")
    w.run("put", "-", "tahoe:d/größe", stdin=b"x")
    names = [e["name"] for e in w.json("ls", "tahoe:d")]
    check(names == ["e", "größe"], f"{names}")
    check(w.text("ls", "d") == "e/\ngröße\n", "ls")
    root = w.text("cap", "tahoe:d").strip()
    check([e["name"] for e in w.json("ls", root + "/e")] == ["f"], "cap/path")
    read_only = w.text("cap", "--read-only", "tahoe:d").strip()
    check(read_only.startswith("URI:DIR2-RO:"), read_only)
    w.complains("put", "-", read_only + "/new", status=FAILED, about="read-only")
    w.complains("rm", read_only + "/größe", status=FAILED, about="read-only")
    w.complains("rm", "tahoe:d", status=FAILED, about=["not empty", "-r"])
    w.run("rm", "-r", "tahoe:d")
    w.complains("ls", "tahoe:d", status=NOT_FOUND, about="tahoe:d")
    w.complains("rm", "tahoe:d", status=NOT_FOUND, about="tahoe:d")
    w.run("rm", "-f", "tahoe:d")


def case_mv_moves_and_renames(w):
    w.run("mkdir", "-p", "tahoe:m/sub")
    w.run("put", "-", "tahoe:m/a", stdin=b"content")
    cap = w.text("cap", "tahoe:m/a")
    w.run("mv", "tahoe:m/a", "tahoe:m/b")
    w.run("mv", "tahoe:m/b", "tahoe:m/sub")
    check(w.text("cap", "tahoe:m/sub/b") == cap, "another cap")
    w.complains("mv", "tahoe:m/b", "tahoe:m/c", status=NOT_FOUND, about="tahoe:m/b")
    w.complains("mv", "tahoe:m", "tahoe:m/sub/x", status=USAGE, about="below itself")
    check(w.json("ls", "tahoe:m")[0]["name"] == "sub", "ls")


def case_a_mutable_file_keeps_its_cap(w):
    cap = w.text("put", "--mutable", "-", stdin=b"one").strip()
    check(cap.startswith("URI:SSK:"), cap)
    w.run("cp", cap, "tahoe:linked")
    w.run("put", "--mutable", "-", "tahoe:mutable", stdin=b"one")
    before = w.text("cap", "tahoe:mutable")
    w.run("put", "-", "tahoe:mutable", stdin=b"two " * 1000)
    check(w.text("cap", "tahoe:mutable") == before, "another cap")
    check(w.run("cat", "tahoe:mutable").stdout == b"two " * 1000, "contents")


def case_trees_are_copied_there_and_back(w):
    tree = w.path("tree")
    os.makedirs(tree + "/a/b")
    os.makedirs(tree + "/empty")
    for i in range(30):
        write(f"{tree}/a/file-{i}", os.urandom(i * 37))
    write(tree + "/a/b/big", os.urandom(2_000_000))
    os.symlink("a/file-1", tree + "/link")
    os.chmod(tree + "/a/file-2", 0o751)
    os.utime(tree + "/a/file-3", (1_600_000_000, 1_600_000_000))
    w.complains("cp", tree, "tahoe:", status=FAILED, about=["tree", "-r"])
    copied = w.json("cp", "-r", tree, "tahoe:")
    check(copied["files"] == 32, f"{copied}")
    w.run("cp", "-r", "tahoe:tree", w.path("back"))
    done = subprocess.run(["diff", "-r", "--no-dereference", tree, w.path("back")],
                          capture_output=True)
    check(done.returncode == 0, done.stdout.decode())
    check(os.stat(w.path("back/a/file-2")).st_mode & 0o777 == 0o751, "mode")
    check(int(os.stat(w.path("back/a/file-3")).st_mtime) == 1_600_000_000, "time")
    w.run("cp", "-r", "tahoe:tree", "tahoe:twin")
    check(w.text("cap", "tahoe:tree/a/b/big") == w.text("cap", "tahoe:twin/a/b/big"), "not linked")
    check(w.text("cap", "tahoe:tree") != w.text("cap", "tahoe:twin"), "the same directory")
    w.complains("cp", "-r", "tahoe:tree", "tahoe:tree/a/x", status=USAGE, about="into itself")
    w.complains("cp", tree + "/a/file-1", w.path("elsewhere"), status=USAGE, about="alias:path")


def case_names_from_the_grid_stay_in_their_folder(w):
    # Names that other clients can store and that would lead elsewhere here.
    w.complains("put", "-", "tahoe:x/../y", status=USAGE, about="..")
    w.complains("get", "tahoe:missing", status=NOT_FOUND, about="tahoe:missing")
    w.run("put", "-", "tahoe:plain", stdin=b"x")
    w.complains("ls", "tahoe:plain/below", status=FAILED, about="not a directory")
    w.complains("cat", "tahoe:", status=FAILED, about="is a directory")


def case_everything_reads_with_two_servers_dead_and_nothing_with_three(w):
    content = os.urandom(500_000)
    w.run("put", "-", "tahoe:precious", stdin=content)
    for server in (1, 3):
        os.kill(w.pid(server), signal.SIGKILL)
    w.forget()
    check(w.run("cat", "tahoe:precious").stdout == content, "changed")
    w.complains("put", "-", stdin=os.urandom(1000), status=GRID, about="servers")
    check(not w.json("status", status=GRID)["can_upload"], "status")
    w.run("grid", "stop", "--dir", w.grid, "--server", 5)
    # What was read before is remembered, and said to be.
    done = w.run("ls", "tahoe:")
    check(b"precious" in done.stdout and b"not refreshed" in done.stderr, done.stderr)
    w.forget()
    cap = json.loads(w.run("ls", "--json", "--caps", "tahoe:", status=GRID).stdout or "[]")
    check(cap == [], "listed from two servers")
    w.run("grid", "start", "--dir", w.grid)
    check(w.run("cat", "tahoe:precious").stdout == content, "changed")


def case_a_damaged_share_is_never_returned(w):
    content = os.urandom(300_000)
    cap = w.text("put", "-", stdin=content).strip()
    index = w.json("stat", cap)["storage_index"]
    damaged = 0
    for server in range(1, 6):
        folder = f"{w.grid}/server-{server}/storage/shares/{index[:2]}/{index}"
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if damaged < 2:
                data = bytearray(read(f"{folder}/{name}"))
                data[len(data) // 2] ^= 1
                write(f"{folder}/{name}", bytes(data))
                damaged += 1
    check(damaged == 2, "no shares found on disk")
    w.forget()
    check(w.run("cat", cap).stdout == content, "changed")


# --- bad input

def case_garbage_caps_are_one_line(w):
    for bad in (GARBAGE_CAP, "URI:", "URI:DIR2:x:y", "URI:CHK:" + "a" * 5000, "URI:WHAT:x",
                GARBAGE_CAP + "/path"):
        for command in (["cat", bad], ["ls", bad], ["get", bad, w.path("never")], ["stat", bad]):
            w.complains(*command, status=USAGE, about="cap")
    check(not os.path.exists(w.path("never")), "a file was made")


def case_a_cap_of_nothing_is_one_line(w):
    w.complains("cat", FOREIGN_CAP, status=GRID, about="shares")


def case_wrong_usage_is_one_line(w):
    w.complains(status=USAGE, about="--help")
    w.complains("nonsense", status=USAGE, about="--help")
    w.complains("put", status=USAGE, about="put")
    w.complains("put", "a", "b", "c", status=USAGE, about="put")
    w.complains("cp", "only-one", status=USAGE, about="cp")
    w.complains("ls", "no-such-alias:", status=NOT_FOUND, about="no-such-alias")
    w.complains("put", w.path("no-such-file"), "tahoe:x", status=NOT_FOUND, about="no-such-file")
    check(w.text("--help").startswith("lafs"), "help")
    check("lafs" in w.text("--version"), "version")


def case_unusable_node_directories_are_one_line(w):
    w.complains("--node", w.path("nowhere"), "ls", status=CONFIG, about=["nowhere", "create-node"])
    w.complains("--node", write(w.path("a-file"), ""), "ls", status=CONFIG, about="a-file")
    spoilt = w.copy_of_node("spoilt")
    write(spoilt + "/tahoe.cfg", "[client]\nshares.needed = lots\n")
    w.complains("--node", spoilt, "ls", status=CONFIG, about="tahoe.cfg:2")
    spoilt = w.copy_of_node("spoilt-secret")
    write(spoilt + "/private/secret", "short\n")
    w.complains("--node", spoilt, "ls", status=CONFIG, about="private/secret:1")
    spoilt = w.copy_of_node("spoilt-aliases")
    write(spoilt + "/private/aliases", "nonsense\n")
    w.complains("--node", spoilt, "ls", status=CONFIG, about="aliases:1")
    spoilt = w.copy_of_node("no-servers")
    os.remove(spoilt + "/private/servers.yaml")
    w.complains("--node", spoilt, "ls", status=GRID, about="servers.yaml")
    if os.geteuid() != 0:
        os.chmod(spoilt, 0)
        w.complains("--node", spoilt, "ls", status=FAILED, about="permission denied")
        os.chmod(spoilt, 0o700)


def spoil_servers(w, name, change):
    node = w.copy_of_node(name)
    path = node + "/private/servers.yaml"
    lines = read(path).decode().splitlines(keepends=True)
    write(path, "".join(change(line) if "#v=1" in line else line for line in lines))
    return node


def case_wrong_certificates_and_secrets_are_named(w):
    def other_pin(line):
        begin = line.index("pb://") + 5
        return line[:begin] + "A" * 42 + "E" + line[line.index("@"):]

    def other_secret(line):
        begin = line.rindex("/") + 1
        return line[:begin] + "a" * 32 + line[line.index("#"):]

    node = spoil_servers(w, "other-pin", other_pin)
    w.complains("--node", node, "put", "-", stdin=b"x" * 100, status=GRID, about="certificate")
    servers = w.json("--node", node, "status", status=GRID)["servers"]
    check({s.get("error") for s in servers} == {"wrong_certificate"}, f"{servers}")
    node = spoil_servers(w, "other-secret", other_secret)
    w.complains("--node", node, "put", "-", stdin=b"x" * 100, status=GRID, about="secret")
    servers = w.json("--node", node, "status", status=GRID)["servers"]
    check({s.get("error") for s in servers} == {"unauthorized"}, f"{servers}")


def case_vanished_servers_are_named(w):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        # Bound and not listening: nobody can answer there.

        def elsewhere(line):
            begin = line.index("@127.0.0.1:") + 11
            return line[:begin] + str(port) + line[line.index("/", begin):]

        node = spoil_servers(w, "vanished", elsewhere)
        w.complains("--node", node, "put", "-", stdin=b"x" * 100, status=GRID, about="server-1")
        servers = w.json("--node", node, "status", status=GRID)["servers"]
        check({s.get("error") for s in servers} == {"unreachable"}, f"{servers}")


def case_a_server_that_talks_nonsense_is_no_server(w):
    # TLS with the right key, and then something that is no HTTP.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{w.grid}/server-1/private/node.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = ("import socket,ssl,sys\n"
            "c=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER);c.load_cert_chain(sys.argv[1])\n"
            "l=socket.socket(fileno=int(sys.argv[2]))\n"
            "while True:\n"
            "  try:\n"
            "    s=c.wrap_socket(l.accept()[0],server_side=True);s.recv(100)\n"
            "    s.sendall(b'what?\\r\\n'*1000);s.close()\n"
            "  except OSError: pass\n")
    w.started.append(subprocess.Popen(
        [sys.executable, "-c", code, f"{w.grid}/server-1/private/node.pem", str(listener.fileno())],
        pass_fds=[listener.fileno()]))
    listener.close()
    entry = read(f"{w.grid}/server-1/private/storage.yaml").decode()
    begin = entry.index("- pb://")
    at = entry.index("@127.0.0.1:", begin) + 11
    entry = entry[:at] + str(port) + entry[entry.index("/", at):]
    node = w.copy_of_node("nonsense")
    write(node + "/private/servers.yaml", entry)
    servers = w.json("--node", node, "status", status=GRID)["servers"]
    check(servers[0].get("error") == "protocol", f"{servers}")


def case_an_interrupted_command_says_so(w):
    process = subprocess.Popen([w.lafs, "put", "-", "tahoe:never"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=w.env)
    w.started.append(process)
    process.stdin.write(b"x" * 100)
    process.stdin.flush()
    # It reads its input now: the file it keeps it in is open.
    deadline = time.monotonic() + 30
    while not any("(deleted)" in target for target in open_files(process.pid)):
        check(time.monotonic() < deadline, "it does not read")
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        raise Failed("it does not end")
    check(process.returncode == 130, f"exit {process.returncode}")
    check(process.stderr.read().count(b"\n") == 1, "not one line")
    w.complains("stat", "tahoe:never", status=NOT_FOUND, about="never")


def open_files(pid):
    """What the descriptors of a process point to; those that close meanwhile are left out."""
    out = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            out.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lafs")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    cases = [(name[5:], f) for name, f in globals().items()
             if name.startswith("case_") and arguments.only in name]
    work = tempfile.mkdtemp(prefix="lafs-cli-")
    world = World(os.path.abspath(arguments.lafs), work)
    failed = []
    try:
        world.start_grid()
        world.run("create-node", "--grid", f"{world.grid}/servers.yaml", "--shares", "3,4,5")
        for name, case in cases:
            begin = time.monotonic()
            try:
                case(world)
                outcome = "ok"
            except (Failed, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
                outcome = f"FAILED: {error}"
                if not isinstance(error, Failed):
                    traceback.print_exc()
                failed.append(name)
            print(f"{time.monotonic() - begin:6.1f} s  {name.replace('_', ' ')}: {outcome}",
                  flush=True)
    finally:
        world.close()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
