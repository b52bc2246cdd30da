"""Each line of input names something that the bundle's Python must be able to do on a node: does it, and says how.

Runs on Python 2.7, too. A check that fails gives its traceback.
"""

from __future__ import print_function

import glob
import os
import subprocess
import sys
import sysconfig
import threading
import traceback

from mrjob.job import MRJob


def check_versions():
    import mrjob

    return [".".join(map(str, sys.version_info[:3])), sys.maxunicode, mrjob.__version__, sys.executable]


def serve_tls(speak):
    """A thread that accepts a connection and *speaks*, with a certificate that came along as a file; and its port."""
    import socket
    import ssl

    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
    context.load_cert_chain("certificate.pem")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)

    def serve():
        accepted, _ = listener.accept()
        served = context.wrap_socket(accepted, server_side=True)
        speak(served)
        served.close()

    server = threading.Thread(target=serve)
    server.start()
    return server, listener.getsockname()[1]


def connect_tls(port):
    import socket
    import ssl

    trusting = ssl.create_default_context(cafile="certificate.pem")
    plain = socket.create_connection(("localhost", port), timeout=60)
    return trusting.wrap_socket(plain, server_hostname="localhost")


def check_ssl():
    """A handshake on loopback, by name."""
    server, port = serve_tls(lambda served: served.sendall(served.recv(100).upper()))
    client = connect_tls(port)
    client.sendall(b"over tls")
    answer = client.recv(100)
    server.join()
    assert answer == b"OVER TLS", answer
    return [client.cipher()[1]]


def check_a_server_that_leaves_without_a_word():
    """As many do after their answer. That is its end, and no error."""
    server, port = serve_tls(lambda served: served.sendall(b"all there is"))
    client = connect_tls(port)
    answer = list(iter(lambda: client.recv(100).decode("ascii"), ""))
    server.join()
    return "".join(answer)


def check_a_stranger_is_not_trusted():
    import socket
    import ssl

    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
    context.load_cert_chain("certificate.pem")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)

    def serve():
        accepted, _ = listener.accept()
        try:
            context.wrap_socket(accepted, server_side=True)
        except (ssl.SSLError, OSError, IOError):
            accepted.close()

    server = threading.Thread(target=serve)
    server.start()
    plain = socket.create_connection(("localhost", listener.getsockname()[1]), timeout=60)
    try:
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    except ssl.SSLError as error:
        return str(error)
    finally:
        plain.close()
        server.join()
    raise AssertionError("a certificate that nobody vouches for was taken")


def check_hashlib():
    import hashlib

    return hashlib.new("sha256", b"bundle").hexdigest()


def check_sqlite3():
    import sqlite3

    connection = sqlite3.connect("numbers.db")
    connection.execute("drop table if exists numbers")
    connection.execute("create table numbers (number integer)")
    connection.executemany("insert into numbers values (?)", [(number,) for number in range(10)])
    connection.commit()
    return list(connection.execute("select sum(number), count(*) from numbers").fetchone())


def check_ctypes():
    """Calls the C library, and is called back by it."""
    import ctypes

    c_library = ctypes.CDLL(None)
    numbers = (ctypes.c_int * 5)(3, 1, 5, 2, 4)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    c_library.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), kind(lambda a, b: a[0] - b[0]))
    return [c_library.strlen(b"bundle"), list(numbers)]


def check_bz2():
    import bz2

    return bz2.decompress(bz2.compress(b"bundle" * 1000)) == b"bundle" * 1000


def check_lzma():
    import lzma

    return lzma.decompress(lzma.compress(b"bundle" * 1000)) == b"bundle" * 1000


def check_zlib():
    import zlib

    return zlib.decompress(zlib.compress(b"bundle" * 1000)) == b"bundle" * 1000


def check_readline():
    import readline

    readline.parse_and_bind("tab: complete")
    readline.add_history("a line")
    return readline.get_history_item(1)


def check_uuid():
    import uuid

    return [len(uuid.uuid1().bytes), uuid.uuid4() != uuid.uuid4()]


def check_curses():
    """Finds what the node knows of terminals."""
    import curses

    curses.setupterm("xterm", sys.stderr.fileno())
    return curses.tigetnum("colors")


def check_multiprocessing():
    import multiprocessing

    pool = multiprocessing.Pool(2)
    try:
        return pool.map(abs, [-1, -2, -3])
    finally:
        pool.terminate()


def check_wheel_with_libraries():
    import numpy

    solution = numpy.linalg.solve(numpy.array([[2.0, 1.0], [1.0, 3.0]]), numpy.array([3.0, 5.0]))
    return [round(float(number), 6) for number in solution]


def check_package_with_a_system_library():
    """It is not connected to anything, but the library that it was compiled against says so itself."""
    import psycopg2

    try:
        psycopg2.connect(host="/nonexistent", connect_timeout=5)
    except psycopg2.OperationalError as error:
        return str(error)
    raise AssertionError("there is a database in a directory that does not exist")


def output_of(*command):
    return subprocess.check_output(command, stderr=subprocess.STDOUT).decode("utf-8")


def check_script():
    """Its own docstring says how it is used."""
    return output_of("greet", "world")


def check_setuptools():
    import made_by_setuptools

    return made_by_setuptools.MAKER


def check_flit():
    import made_by_flit

    return made_by_flit.MAKER


def check_hatchling():
    import made_by_hatchling

    return made_by_hatchling.MAKER


def check_pip():
    return output_of("pip", "--version")


def check_uv():
    return output_of("uv", "--version")


def check_venv():
    """Another environment, which has a pip of its own, from this one."""
    output_of(sys.executable, "-m", "venv", "--clear", "other")
    # Before 3.10, how Python got there may still be in the path: .../venv/bin/../../py
    base = "os.path.normpath(sys.base_prefix)"
    show = "import os, pip, sys; print(pip.__version__, %s, pip.__file__.startswith(sys.prefix))" % base
    return output_of("other/bin/python", "-c", show)


def check_libraries():
    """Which ones are loaded by all of the above and by every module in C, and lie outside of the bundle."""
    for name in sorted(set(CHECKS) - NOT_HERE - {"libraries"}):
        CHECKS[name]()
    dynload = os.path.join(sysconfig.get_path("stdlib"), "lib-dynload")
    for path in glob.glob(os.path.join(dynload, "*.so")):
        __import__(os.path.basename(path).split(".")[0])
    with open("/proc/self/maps") as maps:
        mapped = [line.split() for line in maps]
    paths = {words[5] for words in mapped if len(words) > 5 and ".so" in words[5]}
    return sorted(path for path in paths if not path.startswith("/mnt/pybundle/"))


CHECKS = {name[len("check_") :]: value for name, value in list(globals().items()) if name.startswith("check_")}
NOT_HERE = {"lzma", "flit", "hatchling", "uv", "venv"} if sys.version_info < (3,) else set()


class MRWhatWorks(MRJob):
    def mapper(self, _, name):
        if name in NOT_HERE:
            return
        try:
            yield name, ["works", CHECKS[name]()]
        except Exception:  # noqa: BLE001 whatever it is, the test wants to know
            yield name, ["fails", traceback.format_exc()]


if __name__ == "__main__":
    MRWhatWorks.run()
