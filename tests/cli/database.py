# SPDX-License-Identifier: Apache-2.0
"""A RESP server that knows just what `quipu count` uses, and breaks off as told: by the database's own
rule (commands of a connection in order, each wholly or not at all), but anywhere between two of them,
before or after an answer has left."""
import random
import socket
import threading


class Database:
    def __init__(self, seed=1, break_chance=0.0, replica="r1"):
        self.counts = {}
        self.replica = replica
        self.random = random.Random(seed)
        self.break_chance = break_chance
        self.lock = threading.Lock()
        self.breaks = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.on_advance = None  # called with the mark after each one that moved it
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while True:
                    words = self.read(stream)
                    if words is None:
                        return
                    if self.wants_break():
                        return
                    answer = self.run(words)
                    if self.wants_break():  # done, but nobody hears of it
                        return
                    connection.sendall(answer)
            except OSError:
                return

    def wants_break(self):
        with self.lock:
            is_break = self.random.random() < self.break_chance
            self.breaks += is_break
            return is_break

    @staticmethod
    def read(stream):
        head = stream.readline()
        if not head.endswith(b"\r\n"):
            return None
        words = []
        for _ in range(int(head[1:])):
            size = int(stream.readline()[1:])
            word = stream.read(size + 2)
            if len(word) < size + 2:
                return None
            words.append(word[:-2])
        return words

    def run(self, words):
        with self.lock:
            name = words[0].upper().decode()
            if name == "INFO":
                text = f"# quipu\r\nepoch:0\r\nreplica:{self.replica}\r\n".encode()
                return b"$%d\r\n%s\r\n" % (len(text), text)
            if name == "GET":
                value = self.counts.get(words[1])
                return b"$-1\r\n" if value is None else b"$%d\r\n%d\r\n" % (len(str(value)), value)
            if name == "DEL":
                return b":%d\r\n" % (self.counts.pop(words[1], None) is not None)
            if name == "QUIPU.ADVANCE":
                return self.advance(words)
            return b"-ERR unknown command\r\n"

    def advance(self, words):
        mark, begin, end = words[1], int(words[2]), int(words[3])
        if self.counts.get(mark, 0) != begin:
            return b"*3\r\n:%d\r\n:0\r\n*0\r\n" % self.counts.get(mark, 0)
        self.counts[mark] = end
        refused = []
        for position, (key, amount) in enumerate(zip(words[4::2], words[5::2])):
            if key == b"refused":
                refused.append(b":%d\r\n$11\r\nanother one\r\n" % position)
            else:
                self.counts[key] = self.counts.get(key, 0) + int(amount)
        if self.on_advance:
            self.on_advance(end)
        return b"*3\r\n:%d\r\n:1\r\n*%d\r\n" % (end, 2 * len(refused)) + b"".join(refused)
