# SPDX-License-Identifier: Apache-2.0
"""Real storage servers behind TCP proxies, for end-to-end tests.

    with tempfile.TemporaryDirectory() as work, ProxiedGrid(lafs, tcp_proxy, work, servers=5) as grid:
        grid.proxies[0]("stall on")          # the commands of frontends/cli/bench/tcp_proxy.h
        grid.run("put", "file", "tahoe:file")

Both programs come as arguments from meson. `grid.node` is a node directory whose servers.yaml names
the proxies.
"""
import os
import re
import subprocess


class Proxy:
    """One tcp_proxy process; call it with a command."""

    def __init__(self, program, port):
        self.process = subprocess.Popen([program, str(port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer.startswith("error") or not answer:
            raise RuntimeError(f"proxy: {command}: {answer}")
        return answer

    def stats(self):
        words = self("stats").split()
        return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class ProxiedGrid:
    def __init__(self, lafs, program, work, servers=5, shares="3,4,5"):
        self.lafs, self.work, self.proxies = lafs, str(work), []
        self.directory = os.path.join(self.work, "grid")
        self.node = os.path.join(self.work, "node")
        self.env = dict(os.environ, LAFS_NODE=self.node, NO_COLOR="1")
        self.run("grid", "start", "--servers", servers, "--dir", self.directory)
        try:
            with open(os.path.join(self.directory, "servers.yaml")) as f:
                text = f.read()

            def proxied(match):
                self.proxies.append(Proxy(program, int(match[2])))
                return f"{match[1]}{self.proxies[-1].port}"

            # In the order of the file, which is the order of the servers.
            text = re.sub(r"(pb://[^@\s]+@127\.0\.0\.1:)(\d+)", proxied, text)
            yaml = os.path.join(self.work, "servers.yaml")
            with open(yaml, "w") as f:
                f.write(text)
            self.run("create-node", "--grid", yaml, "--shares", shares)
        except BaseException:
            self.close()
            raise

    def run(self, *words, status=0, timeout=120, stdin=b"", text=True):
        done = subprocess.run([self.lafs, *map(str, words)], input=stdin, capture_output=True,
                              env=self.env, timeout=timeout, cwd=self.work)
        if done.returncode != status:
            raise RuntimeError(f"lafs {' '.join(map(str, words))}: exit {done.returncode}, "
                               f"not {status}: {done.stderr.decode(errors='replace')[-1000:]}")
        return done.stdout.decode() if text else done.stdout

    def all(self, command):
        for proxy in self.proxies:
            proxy(command)

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        subprocess.run([self.lafs, "grid", "stop", "--dir", self.directory], capture_output=True,
                       env=self.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
