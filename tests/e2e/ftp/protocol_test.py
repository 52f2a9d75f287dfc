#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The FTP server by hand and by Python's ftplib: transfers, what is left of them when they are cut,
TLS, limits. protocol_test.py SERVE_FTP_MEMFS [NAME...]"""

import ftplib
import hashlib
import io
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ftp_server
from ftp_server import Line, Server, SessionFTP

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def content(size, seed=1):
    return random.Random(seed).randbytes(size)


def get(ftp, name, rest=None):
    out = io.BytesIO()
    ftp.retrbinary("RETR " + name, out.write, rest=rest)
    return out.getvalue()


def refused(code, call, *arguments):
    try:
        got = call(*arguments)
    except ftplib.all_errors as error:
        assert str(error).startswith(str(code)), f"{error} instead of {code}"
    else:
        raise AssertionError(f"{got} instead of {code}")


def eventually(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@test
def files_and_directories():
    with Server() as server, server.login() as ftp:
        assert ftp.pwd() == "/"
        assert ftp.mkd('with "quotes" ä') == '/with "quotes" ä'
        ftp.cwd('with "quotes" ä')
        data = content(3_000_000)
        ftp.storbinary("STOR a", io.BytesIO(data))
        assert get(ftp, "a") == data
        assert get(ftp, "a", rest=2_999_999) == data[-1:]
        assert get(ftp, "a", rest=3_000_000) == b""
        refused(554, get, ftp, "a", 3_000_001)
        assert ftp.size("a") == 3_000_000
        ftp.rename("a", "b")
        refused(550, ftp.size, "a")
        names = [name for name, facts in ftp.mlsd() if facts["type"] == "file"]
        assert names == ["b"], names
        assert ftp.nlst() == ["b"]
        ftp.sendcmd("MFMT 20200229010203 b")
        assert ftp.sendcmd("MDTM b") == "213 20200229010203"
        ftp.sendcmd("MFF UNIX.mode=0600;Create=20200101000000; b")
        assert "UNIX.mode=0600;" in ftp.sendcmd("MLST b")
        assert "create=20200101000000;" in ftp.sendcmd("MLST b")
        ftp.sendcmd("SITE CHMOD 755 b")
        ftp.sendcmd("SITE SYMLINK b link")
        lines = []
        ftp.dir(lines.append)
        assert any(line.endswith("link -> b") for line in lines), lines
        assert any(line.startswith("-rwxr-xr-x") for line in lines), lines
        assert get(ftp, "link") == data
        ftp.sendcmd("SITE CPFR b")
        ftp.sendcmd("SITE CPTO copy")
        assert get(ftp, "copy") == data
        assert ftp.sendcmd("HASH copy").split()[3] == hashlib.sha256(data).hexdigest()
        assert ftp.sendcmd("XMD5 copy 5 10").split()[1] == hashlib.md5(data[5:10]).hexdigest()
        ftp.sendcmd("RANG 5 9")
        assert get(ftp, "b") == data[5:10]
        refused(550, ftp.rmd, "/with \"quotes\" ä")
        for name in "b", "copy", "link":
            ftp.delete(name)
        ftp.cwd("..")
        ftp.rmd('with "quotes" ä')
        refused(550, ftp.cwd, 'with "quotes" ä')
        reply = ftp.storbinary("STOU", io.BytesIO(b"1"))
        assert reply.startswith("226"), reply
        reply = ftp.storbinary("STOU", io.BytesIO(b"2"))
        assert get(ftp, "ftp-upload") == b"1" and get(ftp, "ftp-upload.1") == b"2"
        refused(553, ftp.storbinary, "STOR x/", io.BytesIO(b""))
        refused(553, ftp.storbinary, "STOR .lafs-part-1-x", io.BytesIO(b""))
        assert "there" not in ftp.nlst("*.none")


@test
def nobody_leaves_the_root():
    with Server() as server, server.login() as ftp:
        ftp.mkd("d")
        ftp.cwd("d")
        ftp.cwd("../../../..")
        assert ftp.pwd() == "/"
        ftp.sendcmd("SITE SYMLINK /../../d up")
        ftp.cwd("up")
        assert ftp.pwd() == "/d"
        ftp.sendcmd("SITE SYMLINK loop loop")
        refused(550, ftp.cwd, "loop")


@test
def ascii_mode():
    with Server() as server, server.login() as ftp:
        ftp.storlines("STOR t", io.BytesIO(b"one\ntwo\n"))
        assert get(ftp, "t") == b"one\ntwo\n"
        lines = []
        ftp.retrlines("RETR t", lines.append)
        assert lines == ["one", "two"]
        ftp.sendcmd("TYPE A")
        assert ftp.sendcmd("SIZE t") == "213 10"
        ftp.sendcmd("REST 5")
        out = []
        ftp.retrlines("RETR t", out.append)
        assert out == ["two"], out
        # Going on behind the first line, counted on the wire.
        ftp.sendcmd("TYPE A")
        with ftp.transfercmd("STOR t", rest=5) as conn:
            conn.sendall(b"drei\r\n")
        ftp.voidresp()
        assert get(ftp, "t") == b"one\ndrei\n"


@test
def an_upload_shows_itself_when_it_is_whole():
    with Server() as server, server.login() as watcher:
        watcher.storbinary("STOR f", io.BytesIO(b"old"))
        line = Line(server.port).login()
        assert line.ask("TYPE I") == 200
        data = line.passive()
        line.send("STOR f")
        assert line.reply()[0] == 150
        data.sendall(content(700_000))
        time.sleep(0.1)
        assert get(watcher, "f") == b"old"
        assert watcher.nlst() == ["f"]
        data.close()
        assert line.reply()[0] == 226
        assert get(watcher, "f") == content(700_000)
        line.close()


@test
def a_cut_upload_is_kept_but_never_shown():
    """Both connections go at once, as when the client is killed; then it comes back."""
    with Server() as server, server.login() as watcher:
        whole = content(900_000)
        for way in "fin", "reset", "data reset":
            line = Line(server.port).login()
            assert line.ask("TYPE I") == 200
            data = line.passive()
            line.send("STOR f")
            assert line.reply()[0] == 150
            data.sendall(whole[:600_000])
            time.sleep(0.1)
            if way != "fin":
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if way == "data reset":
                data.close()
                assert line.reply()[0] == 426
            line.close()
            data.close()
            watcher.voidcmd("TYPE I")
            eventually(lambda: kept(watcher, "f") == 600_000)
            assert watcher.nlst() == []
            assert [n for n, f in watcher.mlsd() if f["type"] == "file"] == []
            refused(550, get, watcher, "f")
            if way == "fin":
                watcher.storbinary("APPE f", io.BytesIO(whole[600_000:]))
            else:
                watcher.storbinary("STOR f", io.BytesIO(whole[500_000:]), rest=500_000)
            assert get(watcher, "f") == whole
            watcher.delete("f")
        watcher.storbinary("STOR f", io.BytesIO(whole))
        assert watcher.nlst() == ["f"]


def kept(ftp, name):
    try:
        return ftp.size(name)
    except ftplib.error_perm:
        return None


@test
def restarts_that_fit_nothing_are_refused():
    with Server() as server, server.login() as ftp:
        refused(554, lambda: ftp.storbinary("STOR f", io.BytesIO(b"x"), rest=5))
        ftp.storbinary("STOR f", io.BytesIO(b"0123456789"))
        refused(554, lambda: ftp.storbinary("STOR f", io.BytesIO(b"x"), rest=11))
        ftp.storbinary("STOR f", io.BytesIO(b"xy"), rest=4)
        assert get(ftp, "f") == b"0123xy"
        ftp.storbinary("APPE f", io.BytesIO(b"z"))
        assert get(ftp, "f") == b"0123xyz"
        # An interrupted upload over a file that is there: APPE would make a mixture.
        line = Line(server.port).login()
        data = line.passive()
        line.send("STOR f")
        line.reply()
        data.sendall(b"new")
        line.close()
        data.close()
        eventually(lambda: "part" in refused_append(ftp))
        assert get(ftp, "f") == b"0123xyz"
        ftp.storbinary("STOR f", io.BytesIO(b"er"), rest=3)
        assert get(ftp, "f") == b"newer"


def refused_append(ftp):
    try:
        ftp.storbinary("APPE f", io.BytesIO(b""))
    except ftplib.error_temp as error:
        assert str(error).startswith("450"), error
        return "part"
    return ""


@test
def abor():
    with Server("--slow", "200") as server:
        line = Line(server.port).login()
        assert line.ask("ABOR") == 225
        with line.passive() as data:
            line.send("STOR f")
            assert line.reply()[0] == 150
            data.sendall(b"x" * 100_000)
            assert line.ask("NOOP") == 200
            line.send("STAT")
            assert "Transfer in progress" in line.reply()[1]
            line.socket.sendall(b"\xff\xf4\xff")
            line.socket.send(b"\xf2", socket.MSG_OOB)
            line.send("ABOR")
            assert line.reply()[0] == 426
            assert line.reply()[0] == 226
        # Nothing is left of it: a restart has nothing to go on from.
        line.ask("TYPE I")
        assert line.ask("SIZE f") == 550
        with server.login() as ftp:
            ftp.storbinary("STOR big", io.BytesIO(bytes(20_000_000)))
        with line.passive() as data:
            line.send("RETR big")
            assert line.reply()[0] == 150
            data.recv(1000)
            assert line.ask("ABOR") == 426
            assert line.reply()[0] == 226
        assert line.ask("NOOP") == 200
        line.close()


@test
def strangers_and_bounces():
    with Server() as server:
        line = Line(server.port)
        assert line.reply()[0] == 220
        for command in "LIST", "PASV", "RETR x", "SIZE x", "MKD x", "SITE CHMOD 777 x":
            assert line.ask(command) == 530, command
        for _ in range(2):
            assert line.ask("USER alice") == 331
            assert line.ask("PASS wrong") == 530
        assert line.ask("USER nobody") == 331
        assert line.ask("PASS wrong") == 421
        assert line.reply() == (0, "")
        line.close()
        line = Line(server.port).login()
        assert line.ask("PORT 10,0,0,1,200,1") == 501
        assert line.ask("EPRT |1|127.0.0.2|51201|") == 501
        # A connection from elsewhere does not get the data.
        line.send("EPSV")
        port = int(line.reply()[1].split("|")[3])
        thief = socket.socket()
        thief.bind(("127.0.0.3", 0))
        thief.connect(("127.0.0.1", port))
        thief.settimeout(20)
        line.send("LIST")
        assert thief.recv(10) == b""
        with socket.create_connection(("127.0.0.1", port)) as own:
            assert line.reply()[0] == 150
            own.recv(10)
        assert line.reply()[0] == 226
        thief.close()
        # A line without end, and a flood.
        assert line.ask("x" * 9000) == 500
        assert line.ask("NOOP") == 200
        line.close()


@test
def ipv6():
    with Server("--address", "::1") as server:
        ftp = ftplib.FTP(timeout=20)
        ftp.connect("::1", server.port)
        ftp.login("alice", "secret")
        assert ftp.af == socket.AF_INET6
        data = content(100_000)
        for passive in True, False:
            ftp.set_pasv(passive)
            ftp.storbinary("STOR six", io.BytesIO(data))
            assert get(ftp, "six") == data
            assert [name for name, _ in ftp.mlsd()].count("six") == 1
        # The words that say IPv4 are refused with what RFC 2428 has for it.
        refused(522, ftp.sendcmd, "EPRT |1|127.0.0.1|51201|")
        refused(522, ftp.sendcmd, "EPSV 1")
        assert ftp.sendcmd("EPSV ALL").startswith("200")
        refused(501, ftp.sendcmd, "PORT 127,0,0,1,200,1")
        ftp.quit()


@test
def passive_ports():
    base = next(base for base in random.sample(range(20_000, 30_000), 100) if all(free(base + i) for i in range(3)))
    with Server("--passive", f"{base}-{base + 2}") as server:
        lines, ports = [], set()
        for number in range(3):
            lines.append(Line(server.port).login())
            lines[-1].send("PASV" if number % 2 else "EPSV")
            code, text = lines[-1].reply()
            assert code in (227, 229), text
            ports.add(int(text.split("|")[3]) if code == 229 else ftplib.parse227(text)[1])
        assert ports == {base, base + 1, base + 2}, ports
        last = Line(server.port).login()
        assert last.ask("EPSV") == 421
        # A port that is given back serves the next one.
        lines.pop().close()
        def served():
            return last.ask("EPSV") == 229
        eventually(served)
        for line in [*lines, last]:
            line.close()


def free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@test
def external_address():
    # In a network of its own, which has an address that is not private.
    words = ["unshare", "-rn", sys.executable, os.path.abspath(__file__), ftp_server.PROGRAM, "--outside"]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    except FileNotFoundError:
        print("  skipped: no unshare")
        return
    if done.returncode == NO_NETWORK or "Operation not permitted" in done.stdout:
        print("  skipped: no network of one's own can be made here")
        return
    assert done.returncode == 0, done.stdout


NO_NETWORK = 77
OUTSIDE = "192.88.99.1"  # nobody's any more (RFC 7526), and not private


def outside():
    """What external_address() runs: 227 says the external address to those outside, and only to them."""
    for words in ["link", "set", "lo", "up"], ["addr", "add", OUTSIDE + "/32", "dev", "lo"]:
        if subprocess.run(["ip", *words], stderr=subprocess.DEVNULL).returncode != 0:
            return NO_NETWORK
    with Server("--external", "192.88.99.7", "--plain", "--address", "0.0.0.0") as server:
        for own, said in (OUTSIDE, "192.88.99.7"), ("127.0.0.1", "127.0.0.1"):
            line = Line(server.port, own).login()
            line.send("PASV")
            code, text = line.reply()
            assert code == 227 and ftplib.parse227(text)[0] == said, text
            line.send("LIST")
            with socket.create_connection((own, ftplib.parse227(text)[1]), timeout=20) as data:
                assert line.reply()[0] == 150
                while data.recv(4096):
                    pass
            assert line.reply()[0] == 226
            line.close()
    return 0


@test
def limits_of_connections():
    with Server("--per-address", "2") as server:
        lines = [Line(server.port), Line(server.port)]
        assert [line.reply()[0] for line in lines] == [220, 220]
        third = Line(server.port)
        assert third.reply()[0] == 421
        lines.pop().close()
        eventually(lambda: Line(server.port).reply()[0] == 220)
        for line in lines:
            line.close()


@test
def slow_clients():
    with Server("--login-limit", "1500") as server:
        line = Line(server.port)
        assert line.reply()[0] == 220
        for byte in b"USER al":  # a slow loris
            line.socket.sendall(bytes([byte]))
            time.sleep(0.1)
        assert line.reply()[0] == 421
        assert line.reply() == (0, "")
        line.close()
    with Server("--data-limit", "1200") as server:
        line = Line(server.port).login()
        still = line.passive()
        line.send("STOR f")
        assert line.reply()[0] == 150
        code, text = line.reply()
        still.close()
        assert code == 426 and "stood still" in text, text
        line.send("EPSV")
        line.reply()
        assert line.ask("LIST") == 425  # nobody connects
        assert line.ask("NOOP") == 200
        line.close()


@test
def read_only_accounts():
    with Server("--anonymous") as server, server.login() as ftp:
        ftp.storbinary("STOR f", io.BytesIO(b"x"))
        for user, password in ("bob", "hunter2"), ("anonymous", "me@example.org"):
            with server.login(user, password) as other:
                assert get(other, "f") == b"x"
                for command in ("DELE f", "MKD d", "SITE CHMOD 600 f", "MFMT 20200101000000 f"):
                    refused(550, other.sendcmd, command)
                refused(550, other.storbinary, "STOR g", io.BytesIO(b""))
                assert "perm=r;" in other.sendcmd("MLST f")


@test
def no_room():
    with Server("--capacity", "1000000") as server, server.login() as ftp:
        refused(552, ftp.sendcmd, "ALLO 5000000")
        assert ftp.sendcmd("ALLO 500").startswith("202")
        assert int(ftp.sendcmd("AVBL").split()[1]) <= 1_000_000
        with ftp.transfercmd("STOR f") as conn:
            try:
                conn.sendall(bytes(30_000_000))
            except ConnectionError:
                pass
        refused(452, ftp.voidresp)
        assert ftp.nlst() == []


@test
def tls():
    for options in ([], ["--require-resumed"], ["--require-close-notify"]):
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with Server(*options, tls=True) as server:
                context = server.context()
                context.maximum_version = version
                ftp = SessionFTP(context=context, timeout=20)
                ftp.connect("localhost", server.port)
                ftp.login("alice", "secret")
                ftp.prot_p()
                data = content(2_000_000)
                ftp.storbinary("STOR f", io.BytesIO(data))
                assert get(ftp, "f") == data
                assert ftp.nlst() == ["f"]
                assert str(refused_text(ftp, "CCC")).startswith("533")
                ftp.quit()


def refused_text(ftp, command):
    try:
        ftp.sendcmd(command)
    except ftplib.all_errors as error:
        return error


@test
def tls_sessions_that_are_required():
    with Server("--require-resumed", tls=True) as server:
        ftp = ftplib.FTP_TLS(context=server.context(), timeout=20)
        ftp.connect("localhost", server.port)
        ftp.login("alice", "secret")
        ftp.prot_p()
        conn = ftp.transfercmd("NLST")
        conn.close()
        refused(425, ftp.voidresp)
        # Another control connection's session is no good either.
        other = SessionFTP(context=ftp.context, timeout=20)
        other.connect("localhost", server.port)
        other.login("alice", "secret")
        other.prot_p()
        assert other.nlst() == []
        stolen = other.sock.session
        conn, _ = ftplib.FTP.ntransfercmd(ftp, "NLST")
        try:
            with ftp.context.wrap_socket(conn, server_hostname="localhost", session=stolen) as c:
                c.recv(1)
        except OSError:
            pass
        refused(425, ftp.voidresp)
        other.close()
        ftp.close()


@test
def tls_that_is_cut():
    with Server("--require-close-notify", tls=True) as server:
        ftp = SessionFTP(context=server.context(), timeout=20)
        ftp.connect("localhost", server.port)
        ftp.login("alice", "secret")
        ftp.prot_p()
        conn = ftp.transfercmd("STOR f")
        conn.sendall(b"half of")
        conn.shutdown(socket.SHUT_RDWR)  # of the TCP connection, without a word
        conn.close()
        refused(426, ftp.voidresp)
        assert ftp.nlst() == []
        ftp.close()
    # Implicit TLS; nothing said in the clear before AUTH is obeyed after it.
    with Server(tls=True) as server:
        raw = socket.create_connection(("127.0.0.1", server.implicit), timeout=20)
        secure = server.context().wrap_socket(raw, server_hostname="localhost")
        assert secure.recv(3) == b"220"
        secure.close()
        line = Line(server.port)
        line.reply()
        line.socket.sendall(b"AUTH TLS\r\nUSER alice\r\nPASS secret\r\n")
        assert line.reply()[0] == 234
        line.socket.setblocking(True)
        secure = server.context().wrap_socket(line.socket, server_hostname="localhost")
        secure.sendall(b"PASS secret\r\n")
        assert secure.recv(3) == b"503"
        secure.close()


@test
def many_uploads_of_one_name():
    with Server("--slow", "50") as server:
        contents = [content(300_000 + i, i) for i in range(4)]

        stored = []

        def put(data):
            with server.login() as ftp:
                stored.append(ftp.storbinary("STOR f", io.BytesIO(data)))

        threads = [threading.Thread(target=put, args=(data,)) for data in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(stored) == 4
        with server.login() as ftp:
            assert get(ftp, "f") in contents
            assert ftp.nlst() == ["f"]


@test
def a_server_that_stops_says_so():
    with Server() as server:
        line = Line(server.port).login()
        data = line.passive()
        line.send("STOR f")
        assert line.reply()[0] == 150
        data.sendall(b"x")
        server.stop()
        codes = [line.reply()[0], line.reply()[0]]
        assert 421 in codes, codes
        data.close()
        line.close()


@test
def idle_sessions_are_cheap():
    with Server("--sessions", "600", "--per-address", "600", "--anonymous", tls=True) as server:
        context = server.context()
        def resident():
            with open(f"/proc/{server.process.pid}/smaps_rollup") as f:
                return sum(int(l.split()[1]) for l in f if l.startswith(("Rss:",))) // 1024
        def session():
            raw = socket.create_connection(("127.0.0.1", server.implicit), timeout=20)
            secure = context.wrap_socket(raw, server_hostname="localhost")
            for send in b"", b"USER anonymous\r\n", b"PASS x\r\n", b"TYPE I\r\n":
                secure.sendall(send) if send else None
                assert secure.recv(1000)[:1] in b"23"
            return secure
        before = resident()
        lines = [session() for _ in range(500)]
        after = resident()
        print(f"  500 idle sessions with TLS: {after - before} MiB of {after} MiB")
        assert after < 100
        for line in lines:
            line.close()


def main():
    ftp_server.PROGRAM = sys.argv[1]
    wanted = sys.argv[2:]
    if wanted == ["--outside"]:
        return outside()
    failed = []
    for function in TESTS:
        if wanted and function.__name__ not in wanted:
            continue
        began = time.monotonic()
        try:
            function()
            print(f"ok   {function.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:
            failed.append(function.__name__)
            print(f"FAIL {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(failed)} failed: {' '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
