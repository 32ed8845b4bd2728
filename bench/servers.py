# SPDX-License-Identifier: Apache-2.0
"""Servers of a benchmark: started on a free loopback port, pinned, with their data in one folder,
ended by their own pid. redis-server is Debian's; quipu is the binary under test."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

START_S = 20
STOP_S = 20
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOADER_CORE = CORES[1] if len(CORES) > 1 else CORES[0]
PEER_CORE = CORES[2] if len(CORES) > 2 else LOADER_CORE


def free_port():
    """Below the range from which the kernel gives ports to clients."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, what):
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {START_S} s not yet: {what}")
        time.sleep(0.002)


def call(port, *words):
    """One RESP2 command; the reply's first line, or a bulk string's text."""
    request = b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        reader = connection.makefile("rb")
        line = reader.readline().decode().strip()
        if line.startswith("$") and line != "$-1":
            return reader.read(int(line[1:])).decode()
        if line.startswith("*"):
            return line + reader.peek(4096).decode(errors="replace")
        return line


class Server:
    """A process with a name, a port and a log file."""

    def __init__(self, name, command, port, folder, core):
        self.name, self.port, self.folder = name, port, folder
        self.command = ["taskset", "-c", str(core)] + command
        self.log_path = os.path.join(folder, "log")
        self.launch()

    def launch(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        self.pid = self.process.pid  # taskset becomes the command, it does not fork

    def restart(self):
        """kill -9, then seconds from the start of the process to its first answer."""
        self.process.kill()
        self.process.wait()
        begun = time.monotonic()
        self.launch()
        self.wait_ready()
        return time.monotonic() - begun

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def wait_ready(self, pattern=None):
        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start:\n{self.log()[-2000:]}")
            if pattern:
                return re.search(pattern, self.log())
            try:
                return call(self.port, "PING").startswith("+PONG")  # Redis says -LOADING before
            except OSError:
                return False

        wait_until(is_ready, f"{self.name} ready")
        return self

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Stage:
    """All servers of a run and the folder of their data; both are gone at its end."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.servers = binary, folder, []

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name, command, port, core=SERVER_CORE):
        folder = os.path.join(self.folder, name.replace(" ", "-"))
        os.makedirs(folder)
        server = Server(name, command, port, folder, core)
        self.servers.append(server)
        return server

    def redis(self, name, *options):
        port = free_port()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        return self._start(name, command + list(options), port).wait_ready()

    def _db(self, name, *options, port=0, peer_port=0, core=SERVER_CORE, replica="r1"):
        port = port or free_port()
        peer_port = peer_port or free_port()
        command = [self.binary, "db", "--replica", replica, "--cluster", "bench", "--data", "data"]
        command += ["--listen", f"127.0.0.1:{port}", "--peer-listen", f"127.0.0.1:{peer_port}"]
        return self._start(name, command + list(options), port, core)

    def quipu(self, name, *options):
        return self._db(name, *options).wait_ready()

    def mesh(self, name, count=3, options=()):
        """The first is the one to load; the others have another core."""
        ports = [free_port() for _ in range(count)]
        servers = []
        for i in range(count):
            peers = [p for j, port in enumerate(ports) if j != i for p in ("--peer", f"127.0.0.1:{port}")]
            core = SERVER_CORE if i == 0 else PEER_CORE
            servers.append(
                self._db(f"{name} r{i + 1}", *peers, *options, peer_port=ports[i], core=core, replica=f"r{i + 1}")
            )
        for server in servers:
            server.wait_ready()
        wait_until(
            lambda: all(call(s.port, "QUIPU.LINKS").count("up") == count - 1 for s in servers),
            "three regions meshed",
        )
        return servers

    def region(self, db):
        """The counter service and the real-time part before `db`; gives the latter."""
        http, udp, web = free_port(), free_port(), free_port()
        service = [self.binary, "service", "--db", f"127.0.0.1:{db.port}"]
        service += ["--listen", f"127.0.0.1:{http}", "--heartbeat-listen", f"127.0.0.1:{udp}"]
        self._start("service", service, http, LOADER_CORE).wait_ready(r"ready")
        realtime = [self.binary, "realtime", "--listen", f"127.0.0.1:{web}"]
        realtime += ["--service", f"http://127.0.0.1:{http}", "--heartbeat-to", f"127.0.0.1:{udp}"]
        return self._start("realtime", realtime, web).wait_ready(r"ready")
