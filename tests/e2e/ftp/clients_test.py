#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The FTP server with the programs people use. A program that is missing is skipped, visibly.
clients_test.py SERVE_FTP_MEMFS [NAME...]"""

import filecmp
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ftp_server
from ftp_server import Line, Server

TESTS = []


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def run(*words, text=None, ok=True, cwd=None):
    if not shutil.which(words[0]):
        raise Skip(words[0])
    home = cwd or tempfile.gettempdir()
    done = subprocess.run(words, input=text, text=True, capture_output=True, timeout=60, cwd=cwd,
                          env={**os.environ, "HOME": home, "TERM": "dumb"})
    if ok:
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def make_tree(folder, files=60):
    rng = random.Random(7)
    for i in range(files):
        path = os.path.join(folder, f"d{i % 5}", f"ä file {i}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(rng.randbytes(rng.choice([0, 1, 1000, 70_000, 400_000])))
    os.makedirs(os.path.join(folder, "empty"))


def same(a, b):
    compared = filecmp.dircmp(a, b)
    if compared.left_only or compared.right_only or compared.funny_files:
        return False
    _, wrong, errors = filecmp.cmpfiles(a, b, compared.common_files, shallow=False)
    return not wrong and not errors and all(
        same(os.path.join(a, d), os.path.join(b, d)) for d in compared.common_dirs)


def write(path, size, seed=3):
    with open(path, "wb") as f:
        f.write(random.Random(seed).randbytes(size))


def read(path):
    with open(path, "rb") as f:
        return f.read()


@test
def lftp():
    for tls in False, True:
        with Server("--require-resumed" if tls else "--plain", tls=tls) as server, \
                tempfile.TemporaryDirectory() as work:
            settings = (f"set ssl:ca-file {server.certificate}; set ssl:check-hostname no; "
                        f"set ftp:ssl-force {'yes' if tls else 'no'}; "
                        f"set ftp:ssl-allow {'yes' if tls else 'no'}; set ftp:ssl-protect-data yes; "
                        f"set cmd:fail-exit yes; set net:max-retries 2; set net:timeout 10; "
                        f"open -u alice,secret -p {server.port} 127.0.0.1; ")
            source, back = os.path.join(work, "source"), os.path.join(work, "back")
            make_tree(source)
            run("lftp", "-c", settings + f"mirror -R --parallel=4 {source} tree; "
                f"mirror --parallel=4 tree {back}")
            assert same(source, back)
            for i in range(60):
                name = f"d{i % 5}/ä file {i}"
                assert abs(os.stat(os.path.join(source, name)).st_mtime -
                           os.stat(os.path.join(back, name)).st_mtime) < 1.1, name
            # Once more: there is nothing left to do.
            again = run("lftp", "-c", settings + f"mirror -R -v {source} tree")
            assert "Transferring" not in again.stdout, again.stdout
            # An upload and a download that go on where they were cut.
            big, part = os.path.join(work, "big"), os.path.join(work, "part")
            write(big, 3_000_000)
            if not tls:
                cut_upload(server.port, "big", read(big)[:1_000_000])
                done = run("lftp", "-d", "-c", settings + f"put -c {big}")
                assert "REST 1000000" in done.stderr, done.stderr
            else:
                run("lftp", "-c", settings + f"put {big}")
            with open(part, "wb") as f:
                f.write(read(big)[:1_234_567])
            run("lftp", "-c", settings + f"get -c big -o {part}; cls -l; rm -r tree; rm big")
            assert read(part) == read(big)


def cut_upload(port, name, data):
    line = Line(port).login()
    assert line.ask("TYPE I") == 200
    conn = line.passive()
    line.send("STOR " + name)
    assert line.reply()[0] == 150
    conn.sendall(data)
    time.sleep(0.1)
    line.close()
    conn.close()
    time.sleep(0.2)


@test
def curl():
    with Server(tls=True) as server, tempfile.TemporaryDirectory() as work:
        source, back = os.path.join(work, "f"), os.path.join(work, "back")
        write(source, 2_000_000)
        secure = ["--ssl-reqd", "--cacert", server.certificate]
        implicit = ["--cacert", server.certificate]
        url, direct = f"ftp://localhost:{server.port}", f"ftps://localhost:{server.implicit}"
        for base, options in ((url, []), (url, ["--disable-epsv"]), (url, ["-P", "-"]),
                              (url, ["-P", "-", "--disable-eprt"]), (url, secure),
                              (url, secure + ["--ftp-pasv", "--tls-max", "1.2"]), (direct, implicit),
                              (url, ["--ftp-method", "nocwd"]),
                              (url, ["--ftp-method", "singlecwd"])):
            user = ["curl", "-sS", "-u", "alice:secret", *options]
            run(*user, "--ftp-create-dirs", "-T", source, f"{base}/a/b/f")
            run(*user, "-o", back, f"{base}/a/b/f")
            assert read(back) == read(source), options
            assert "f" in run(*user, f"{base}/a/b/").stdout
            run(*user, f"{base}/a/", "-Q", "DELE a/b/f")
        user = ["curl", "-sS", "-u", "alice:secret"]
        run(*user, "-T", source, f"{url}/f")
        with open(back, "wb") as f:
            f.write(read(source)[:777_777])
        run(*user, "-C", "-", "-o", back, f"{url}/f")
        assert read(back) == read(source)
        assert run(*user, "-r", "5-9", "-o", back, f"{url}/f").returncode == 0
        assert read(back) == read(source)[5:10]
        cut_upload(server.port, "g", read(source)[:500_000])
        run(*user, "-C", "-", "-T", source, f"{url}/g")
        run(*user, "-o", back, f"{url}/g")
        assert read(back) == read(source)
        text = os.path.join(work, "t")
        with open(text, "w") as f:
            f.write("one\ntwo\n")
        run(*user, "-B", "-T", text, f"{url}/t")
        assert run(*user, f"{url}/t").stdout == "one\ntwo\n"
        assert "Content-Length: 2000000" in run(*user, "-I", f"{url}/f").stdout
        wrong = run("curl", "-sS", "-u", "alice:wrong", f"{url}/", ok=False)
        assert wrong.returncode == 67, wrong


@test
def wget():
    with Server(tls=True) as server, tempfile.TemporaryDirectory() as work:
        with server.login() as ftp:
            ftp.mkd("d")
            for name in "x y", "z":
                with open(os.path.join(work, "in"), "wb") as f:
                    f.write(b"data of " + name.encode())
                with open(os.path.join(work, "in"), "rb") as f:
                    ftp.storbinary(f"STOR d/{name}", f)
        run("wget", "-q", "-r", "-nH", "--user=alice", "--password=secret",
            f"ftp://127.0.0.1:{server.port}/d/", cwd=work)
        assert read(os.path.join(work, "d", "x y")) == b"data of x y"
        secure = ["wget", "-q", "--user=alice", "--password=secret", "--ca-certificate",
                  server.certificate, "-O", "z"]
        run(*secure, f"ftps://localhost:{server.port}/d/z", cwd=work)
        assert read(os.path.join(work, "z")) == b"data of z"
        run(*secure, "--ftps-implicit", f"ftps://localhost:{server.implicit}/d/z", cwd=work)
        assert read(os.path.join(work, "z")) == b"data of z"
        run("wget", "-q", "--user=alice", "--password=secret",
            f"ftp://127.0.0.1:{server.port}/d/*", cwd=work)
        assert read(os.path.join(work, "z")) == b"data of z"


def by_script(program, options, script, server):
    with tempfile.TemporaryDirectory() as work:
        write(os.path.join(work, "up"), 500_000)
        done = run(program, *options, text=script.format(port=server.port), cwd=work, ok=False)
        said = done.stdout + done.stderr
        assert os.path.exists(os.path.join(work, "down")), said
        assert read(os.path.join(work, "down")) == read(os.path.join(work, "up")), said
        assert os.path.exists(os.path.join(work, "first")), said
        assert os.path.exists(os.path.join(work, "second")), said


SCRIPT = ("open 127.0.0.1 {port}\nuser alice secret\nbinary\nmkdir d\ncd d\nput up first\n"
          "put up second\nls\npwd\nget first down\nprompt\nmget first second\n"
          "rename second third\ndelete third\nquit\n")


@test
def inetutils_ftp():
    for options in ([], ["-p"]):
        with Server() as server:
            by_script("inetutils-ftp", ["-n", "-v", *options], SCRIPT, server)


@test
def tnftp():
    for options in (["-A"], ["-p"]):
        with Server() as server:
            by_script("tnftp", ["-n", "-v", *options], SCRIPT, server)


@test
def ncftp():
    with Server() as server, tempfile.TemporaryDirectory() as work:
        if not shutil.which("ncftpput"):
            raise Skip("ncftp")
        source, back = os.path.join(work, "source"), os.path.join(work, "back")
        make_tree(source, 12)
        os.makedirs(back)
        user = ["-u", "alice", "-p", "secret", "-P", str(server.port)]
        run("ncftpput", *user, "-R", "127.0.0.1", "/", source, cwd=work)
        run("ncftpget", *user, "-R", "127.0.0.1", back, "/source", cwd=work)
        assert same(source, os.path.join(back, "source"))
        listed = run("ncftpls", *user, "-l", "ftp://127.0.0.1/source/", cwd=work).stdout
        assert "empty" in listed, listed


@test
def rclone():
    with Server(tls=True) as server, tempfile.TemporaryDirectory() as work:
        if not shutil.which("rclone"):
            raise Skip("rclone")
        source = os.path.join(work, "source")
        make_tree(source)
        secret = run("rclone", "obscure", "secret").stdout.strip()
        for extra in "", ",explicit_tls=true,no_check_certificate=true":
            remote = f":ftp,host=127.0.0.1,port={server.port},user=alice,pass={secret}{extra}:tree"
            options = ["--config", os.path.join(work, "none"), "--retries", "1"]
            run("rclone", *options, "copy", source, remote)
            run("rclone", *options, "check", "--download", source, remote)
            again = run("rclone", *options, "copy", "-v", source, remote)
            assert "Copied" not in again.stderr, again.stderr
            run("rclone", *options, "test", "info", "--check-streaming",
                "--check-normalization", remote)
            run("rclone", *options, "moveto", remote + "/d1", remote + "/moved")
            run("rclone", *options, "purge", remote)


def main():
    ftp_server.PROGRAM = sys.argv[1]
    wanted = sys.argv[2:]
    failed, skipped, passed = [], [], 0
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok   {function.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Skip as missing:
            skipped.append(function.__name__)
            print(f"SKIP {function.__name__}: {missing} is not installed", flush=True)
        except Exception:
            failed.append(function.__name__)
            print(f"FAIL {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(failed)} failed: {' '.join(failed)}" if failed else f"{passed} passed")
    return 1 if failed else 77 if skipped and not passed else 0


if __name__ == "__main__":
    sys.exit(main())
