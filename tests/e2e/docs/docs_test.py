#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages that people read say what works: every block of commands in README.md and docs/*.md is
run against a small grid, and every command and option that they mention exists.

A fence says what its block is:
  ```sh                        run here, by bash -eu, with the places and addresses below put in
  ```sh long: REASON           run with LAFS_LONG_TESTS=1 only
  ```sh no-test: REASON        not run
  ```text, ```ini, ...         no commands

usage: docs_test.py LAFS SOURCE
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.S | re.M)
KINDS = ("sh", "text", "ini", "cpp", "json", "yaml")

# What stands before the real programs in PATH: it gives those that ask or stay what they need.
WRAPPER = r"""#!/bin/bash
case "$(basename "$0") $*" in
  lafs*" accounts passwd"*) echo secret | exec "$REAL_LAFS" "$@" --stdin ;;
  lafs*" serve "* | lafs*" run")
    log=$(mktemp "$HOME/daemon-XXXXXX")
    # One process at a time has a node's files; another block of the page may have left one.
    case "$*" in *"serve sftp"* | *"serve ftp"* | run)
      for pid in $(cat "$HOME/files" 2>/dev/null); do
        kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
      done
      rm -f "$HOME/files" ;;
    esac
    "$REAL_LAFS" --log info "$@" >"$log" 2>&1 </dev/null &
    case "$*" in *"serve sftp"* | *"serve ftp"* | run) echo $! >>"$HOME/files" ;; esac
    echo $! >>"$HOME/pids"
    for _ in $(seq 600); do
      grep -qE '^(storage server|introducer pb|serving SFTP|ftp server)' "$log" && exit 0
      kill -0 $! 2>/dev/null || break
      sleep 0.1
    done
    echo "not serving: $*" >&2; cat "$log" >&2; exit 1 ;;
  lafs*) exec "$REAL_LAFS" "$@" ;;
  sftp*) echo "ls -l" | exec /usr/bin/sftp -q -o StrictHostKeyChecking=no \
      -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -i "$HOME/.ssh/id_ed25519" -b - "$@" ;;
  lftp*) shift; name=$1; shift
      exec /usr/bin/lftp -u "$name,secret" -e "set ssl:verify-certificate no; ls; quit" "$@" ;;
  editor*) sed -i -e "s/^tub.port.*/tub.port = tcp:$PORT_INTRODUCER/" \
      -e "s/^tub.location.*/tub.location = tcp:127.0.0.1:$PORT_INTRODUCER/" "$1" ;;
esac
"""


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    def __init__(self, lafs, source, work):
        self.lafs, self.source, self.work = lafs, source, work
        self.bin = os.path.join(work, "bin")
        os.mkdir(self.bin)
        for name in ("lafs", "sftp", "lftp", "editor"):
            path = os.path.join(self.bin, name)
            with open(path, "w") as f:
                f.write(WRAPPER)
            os.chmod(path, 0o755)
        self.grid = os.path.join(work, "grid")
        self.call("grid", "start", "--servers", "5", "--dir", self.grid)
        with open(os.path.join(self.grid, "introducer", "private", "introducer.furl")) as f:
            self.furl = f.read().strip()
        # A node as most pages take it for granted; each gets a copy.
        self.node = os.path.join(work, "node")
        self.call("--node", self.node, "create-node", "--grid",
                  os.path.join(self.grid, "servers.yaml"), "--shares", "3,4,5")
        self.call("--node", self.node, "create-alias", "work")
        self.call("--node", self.node, "mkdir", "tahoe:alice")

    def call(self, *words, home=None, status=0):
        env = dict(os.environ, HOME=home or self.work, NO_COLOR="1")
        env.pop("LAFS_NODE", None)
        done = subprocess.run([self.lafs, *words], capture_output=True, env=env, timeout=120,
                              stdin=subprocess.DEVNULL, text=True)
        check(done.returncode == status, f"lafs {words}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def page(self, name):
        with open(os.path.join(self.source, name)) as f:
            return f.read()


class Page:
    """A home directory in which one page's blocks are run, one after another."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.home = os.path.join(world.work, name.replace("/", "-"))
        os.mkdir(self.home)
        self.ports = {p: free_port() for p in ("8022", "8021", "21", "3457", "3458")}

    def prepare(self, text):
        """What the commands of a page take for granted."""
        h = self.home
        shutil.copytree(self.world.grid, os.path.join(h, "grid"),
                        ignore=lambda d, names: [n for n in names if n != "servers.yaml"])
        shutil.copy(os.path.join(h, "grid", "servers.yaml"), h)
        for name in ("photos", "drive", "mnt/grid", "mnt/photos", ".ssh"):
            os.makedirs(os.path.join(h, name))
        for name, size in (("notes.txt", 100), ("photos/a.jpg", 5000), ("disk.img", 3000000),
                           ("block", 4096)):
            with open(os.path.join(h, name), "wb") as f:
                f.write(os.urandom(size))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        os.path.join(h, ".ssh/id_ed25519")], check=True)
        node = os.path.join(h, ".lafs")
        shutil.copytree(self.world.node, node)
        shutil.copytree(node, os.path.join(h, ".tahoe"))
        shutil.copyfile(os.path.join(node, "private", "secret"), os.path.join(h, "anna.secret"))
        if "mkdir --format mdmf work:photos" in text:
            self.world.call("--node", node, "rm", "-rf", "work:photos")
        if "/mnt/photos" in text:
            self.world.call("--node", node, "mkdir", "-p", "work:photos")

    def put_in(self, block):
        h = self.home
        for there, here in (
                ("pb://...@tcp:grid.example.org:3458/introducer", self.world.furl),
                ("pb://...", self.world.furl),
                ("--shares 3,7,10", "--shares 3,4,5"),
                ("tcp:storage.example.org:", "tcp:127.0.0.1:"),
                ("--external-address 203.0.113.5", "--external-address 127.0.0.1"),
                ("alice@host", "alice@127.0.0.1"), ("alice host:", "alice 127.0.0.1:"),
                ("/mnt/", os.path.join(h, "mnt") + "/"), ("1GiB", "4MiB")):
            block = block.replace(there, here)
        # Where they listen by default may be in use here.
        for kind, port in (("ftp", "8021"), ("sftp", "8022")):
            block = re.sub(rf"^lafs serve {kind}(?=\s*(#|$))",
                           f"lafs serve {kind} --addr 127.0.0.1:{port}", block, flags=re.M)
        for there, here in self.ports.items():
            block = re.sub(rf"(?<=[:\s])({there})\b", str(here), block)
            block = block.replace(f"0.0.0.0:{here}", f"127.0.0.1:{here}")
        swissnum = os.path.join(h, "server", "private", "storage.furl")
        if "SWISSNUM" in block:
            with open(swissnum) as f:
                block = block.replace("SWISSNUM", f.read().strip().rsplit("/", 1)[1])
        return block.replace("--node DIR", "--node ~/server")

    def run(self, block):
        if "create-node" in block and "--node ~/introducer" not in block:
            shutil.rmtree(os.path.join(self.home, ".lafs"))
        if "storage gc --collect" in block:
            self.stop()  # as the page says
        if "/storage/v1/" in block and not os.path.exists(os.path.join(self.home, "pids")):
            self.run("lafs --node ~/server serve storage\n")
        env = dict(os.environ, HOME=self.home, NO_COLOR="1", REAL_LAFS=self.world.lafs,
                   PATH=self.world.bin + ":" + os.environ["PATH"], EDITOR="editor",
                   PORT_INTRODUCER=str(self.ports["3458"]))
        env.pop("LAFS_NODE", None)
        done = subprocess.run(["bash", "-eu", "-c", self.put_in(block)], cwd=self.home, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=280)
        check(done.returncode == 0,
              f"{self.name}: status {done.returncode} of\n{block}\n{done.stdout}\n{done.stderr}")

    def stop(self):
        pids = os.path.join(self.home, "pids")
        if not os.path.exists(pids):
            return
        with open(pids) as f:
            running = [int(line) for line in f]
        for pid in running:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 60
        for pid in running:
            while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        break
                time.sleep(0.05)
        os.unlink(pids)

    def clear(self):
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(self.home + "/")]
        for one in mounts:
            self.world.call("umount", one, home=self.home, status=0)
        self.stop()
        grid = os.path.join(self.home, "grid")
        if os.path.exists(os.path.join(grid, "server-1")):
            self.world.call("grid", "stop", "--dir", grid)


def blocks_of(text):
    for match in FENCE.finditer(text):
        kind, _, reason = match.group(1).partition(":")
        yield kind.strip().split(), reason.strip(), match.group(2)


def can_run(block):
    """None, or what this machine lacks."""
    for program, word in (("lftp", "lftp "), ("sftp", "sftp -P"), ("socat", "socat "),
                          ("curl", "curl ")):
        if word in block and not shutil.which(program):
            return program
    if "lafs mount" in block and (os.geteuid() != 0 or not os.path.exists("/dev/fuse")):
        return "/dev/fuse"
    return None


def every_block_runs(w, pages):
    ran = skipped = 0
    for name in pages:
        page, wanted = None, []
        for words, reason, block in blocks_of(w.page(name)):
            check(words and words[0] in KINDS, f"{name}: a fence that does not say what it is:\n{block}")
            if words[0] != "sh" or "no-test" in words or \
                    ("long" in words and not os.environ.get("LAFS_LONG_TESTS")):
                check(words[0] != "sh" or reason, f"{name}: not run, without a reason:\n{block}")
                skipped += words[0] == "sh"
                continue
            if missing := can_run(block):
                print(f"        {name}: a block is not run: no {missing}", flush=True)
                skipped += 1
                continue
            wanted.append(block)
        if not wanted:
            continue
        page = Page(w, name)
        try:
            page.prepare(w.page(name))
            for block in wanted:
                page.run(block)
                ran += 1
        finally:
            page.clear()
    check(ran >= 8, f"only {ran} blocks were run")
    print(f"        {ran} blocks run, {skipped} not", flush=True)


def options_of(w, commands, cache):
    """The longest command that these words begin with, and its options."""
    for n in (2, 1):
        words = commands[:n]
        if len(words) < n or not all(re.fullmatch(r"[a-z][a-z-]*", word) for word in words):
            continue
        name = " ".join(words)
        if name not in cache:
            done = subprocess.run([w.lafs, *words, "--help"], capture_output=True, text=True)
            # A group of commands takes any second word for help; its usage names the first only.
            there = done.returncode == 0 and f"lafs {name}" in done.stdout
            cache[name] = set(re.findall(r"--?[a-z][a-z-]*", done.stdout)) if there else None
        if cache[name] is not None:
            return name, cache[name]
    return None, set()


def every_command_exists(w, pages):
    cache, seen, wrong = {}, set(), []
    for name in pages:
        text = FENCE.sub("", w.page(name))
        spans = re.findall(r"`lafs ([^`\n]+)`", text)
        for words, _, block in blocks_of(w.page(name)):
            if words and words[0] == "sh":
                spans += re.findall(r"^lafs (.+)$", block, flags=re.M)
        if name == "docs/CLI.md":
            spans += [row.replace("`", " ") for row in re.findall(r"^\| (`[a-z].*?) \|$", text, re.M)
                      if re.match(r"`[a-z-]+( [^.]*)?`", row)]
        for span in spans:
            span = re.sub(r"--node \S+ ", "", span.split("#")[0])
            words = span.replace("|", " ").split()
            command, options = options_of(w, words, cache)
            if command is None:
                if name != "docs/CLI.md":
                    wrong.append(f"{name}: lafs {span}: no such command")
                continue
            seen.add(command)
            if name == "docs/CLI.md":
                continue  # rows tell of several commands at once
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span):
                if option not in options and option not in ("--node", "--log", "--json", "--help"):
                    wrong.append(f"{name}: lafs {command} has no {option}")
    check(not wrong, "\n".join(wrong))
    check(len(seen) > 25, f"only {sorted(seen)} were found")


def every_command_is_in_the_table(w, pages):
    """CLI.md is the contract: no command is missing there."""
    text = w.page("docs/CLI.md")
    script = w.call("manual", "--completion", "bash")
    pages_dir = os.path.join(w.work, "man")
    os.mkdir(pages_dir)
    w.call("manual", "--pages", pages_dir)
    check("complete " in script, script[:200])
    for page in sorted(os.listdir(pages_dir)):
        words = page[:-2].split("-", 1)
        if len(words) < 2:
            continue
        last = words[1]
        check(last in text or last.replace("-", " ", 1) in text or last.split("-", 1)[-1] in text,
              f"docs/CLI.md does not mention {last}")


def main():
    lafs, source = map(os.path.abspath, sys.argv[1:3])
    pages = ["README.md"] + sorted(
        os.path.join("docs", n) for n in os.listdir(os.path.join(source, "docs")) if n.endswith(".md"))
    work = tempfile.mkdtemp(prefix="lafs-docs-")
    failed, w = 0, None
    try:
        w = World(lafs, source, work)
        for case in (every_command_exists, every_command_is_in_the_table, every_block_runs):
            begin = time.monotonic()
            try:
                case(w, pages)
                print(f"ok      {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
            except (Failed, OSError, subprocess.SubprocessError) as e:
                failed += 1
                print(f"FAILED  {case.__name__}: {e}", flush=True)
    finally:
        if w:
            subprocess.run([lafs, "grid", "stop", "--dir", w.grid], capture_output=True)
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
