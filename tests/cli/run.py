#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`quipu count` against a database that breaks off anywhere, and against a real one that is killed;
`quipu check`, backups, and what `quipu up` does when something is wrong. Ends with "N passed, N failed".

    tests/cli/run.py [BINARY]        default build/release/quipu
"""
import collections
import functools
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from database import Database

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/release/quipu")
SECONDS = 120


started = []  # processes that a failed test may leave behind


def start(words, **more):
    process = subprocess.Popen(words, **more)
    started.append(process)
    return process


def lines_of(count, seed=1, keys=300):
    chance = random.Random(seed)
    return [b"/page/%d" % min(chance.randrange(keys), chance.randrange(keys)) for _ in range(count)]


def words_of(database, *more):
    return [BINARY, "count", "--db", f"127.0.0.1:{database.port}", *more]


def count(database, data, *more):
    return subprocess.run(words_of(database, *more), input=data, capture_output=True, timeout=SECONDS)


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


def expect_counts(database, lines, amount=1, prefix=b""):
    truth = {prefix + key: amount * n for key, n in collections.Counter(lines).items()}
    assert database.counts == truth, f"{len(truth)} keys expected, {len(database.counts)} are there"


def totals_of(run):
    """(lines, keys) of its last line."""
    found = re.search(rb"^(\d+) lines, (\d+) keys, [\d.]+ s$", run.stderr, re.MULTILINE)
    assert found, run.stderr
    return int(found[1]), int(found[2])


def test_every_line_is_counted_and_the_mark_is_removed():
    database, lines = Database(), lines_of(5000)
    run = count(database, joined(lines))
    assert run.returncode == 0, run.stderr
    assert totals_of(run) == (5000, len(set(lines)))
    expect_counts(database, lines)


def test_connections_that_break_anywhere_count_nothing_twice():
    for seed in range(1, 9):
        database, lines = Database(seed, break_chance=0.12), lines_of(8000, seed)
        run = count(database, joined(lines))
        assert run.returncode == 0, run.stderr
        assert database.breaks > 2
        expect_counts(database, lines)


def test_prefix_amount_empty_lines_and_a_last_line_without_end():
    database = Database()
    run = count(database, b"a\n\nb c\na\n\nlast", "--prefix", "p:", "--by=-3")
    assert run.returncode == 0, run.stderr
    assert totals_of(run) == (6, 3)
    expect_counts(database, [b"a", b"a", b"b c", b"last"], -3, b"p:")


def test_no_input_is_no_error():
    database = Database()
    run = count(database, b"")
    assert run.returncode == 0, run.stderr
    assert totals_of(run) == (0, 0)
    assert database.counts == {}


def test_keys_that_are_too_long_or_refused_are_named_by_line():
    database = Database()
    longest = b"k" * 65535
    run = count(database, joined([b"a", longest, longest + b"k", b"refused", b"b" * 200000, b"c"]))
    assert run.returncode == 1
    for number in (3, 4, 5):
        assert b"line %d:" % number in run.stderr, run.stderr
    assert b"line 2:" not in run.stderr
    expect_counts(database, [b"a", longest, b"c"])
    database = Database()
    run = count(database, longest + b"\n", "--prefix", "p")
    assert run.returncode == 1 and b"65536 bytes" in run.stderr
    assert database.counts == {}


def interrupted(database, data, state, number):
    """Starts a count and sends the signal once something is in. Its exit status."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        process = start(words_of(database, "--state", state), stdin=file,
                        stderr=subprocess.PIPE)

        def interrupt(mark):
            database.on_advance = None
            process.send_signal(number)
        database.on_advance = interrupt
        _, stderr = process.communicate(timeout=SECONDS)
    return process.returncode, stderr


def test_a_run_that_is_killed_and_resumed_is_exact():
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as folder:
            state = os.path.join(folder, "state")
            database, lines = Database(3), lines_of(40000, 3)
            for _ in range(5):
                status, stderr = interrupted(database, joined(lines), state, number)
                assert status in (-number, 1), stderr
                if number != signal.SIGKILL:
                    assert b"goes on" in stderr, stderr
            database.break_chance = 0.05
            run = count(database, joined(lines), "--state", state)
            assert run.returncode == 0, run.stderr
            assert totals_of(run) == (40000, len(set(lines)))
            expect_counts(database, lines)
            again = count(database, joined(lines), "--state", state)
            assert again.returncode == 1 and b"done" in again.stderr
            expect_counts(database, lines)


def test_a_resumed_run_refuses_another_input_another_replica_and_other_options():
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        database, lines = Database(), lines_of(40000)
        status, stderr = interrupted(database, joined(lines), state, signal.SIGINT)
        assert status == 1, stderr
        before = dict(database.counts)
        other = count(database, joined([b"other"] + lines), "--state", state)
        assert other.returncode == 1 and b"not the input" in other.stderr, other.stderr
        short = count(database, joined(lines[:10]), "--state", state)
        assert short.returncode == 1 and b"not the same input" in short.stderr, short.stderr
        options = count(database, joined(lines), "--state", state, "--by", "2")
        assert options.returncode == 1 and b"another --prefix or --by" in options.stderr
        database.replica = "r2"
        replica = count(database, joined(lines), "--state", state)
        assert replica.returncode == 1 and b"begun at r1" in replica.stderr, replica.stderr
        assert database.counts == before
        database.replica = "r1"
        run = count(database, joined(lines), "--state", state)
        assert run.returncode == 0, run.stderr
        expect_counts(database, lines)


def test_a_database_set_back_is_noticed():
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        database, lines = Database(), lines_of(40000)
        interrupted(database, joined(lines), state, signal.SIGINT)
        database.counts.clear()
        run = count(database, joined(lines), "--state", state)
        assert run.returncode == 1 and b"set back" in run.stderr, run.stderr
        assert database.counts == {}


def test_a_mark_that_somebody_moved_stops_the_run():
    database, lines = Database(), lines_of(40000)

    def meddle(mark):
        for key in [key for key in database.counts if key.startswith(b"quipu:count:")]:
            database.counts[key] += 7
    database.on_advance = meddle
    run = count(database, joined(lines))
    assert run.returncode == 1 and b"somebody else" in run.stderr, run.stderr


def test_lines_of_a_slow_pipe_are_counted_as_they_come():
    database = Database()
    process = start(words_of(database), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    for i in range(1, 4):
        done = threading.Event()
        database.on_advance = lambda mark: done.set()
        process.stdin.write(b"a\n")
        process.stdin.flush()
        assert done.wait(30)
        assert database.counts[b"a"] == i
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, stderr
    expect_counts(database, [b"a"] * 3)


def test_nobody_there_and_somebody_else_there_are_told():
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    run = subprocess.run([BINARY, "count", "--db", f"127.0.0.1:{port}"], input=b"a\n",
                         capture_output=True, timeout=SECONDS)
    assert run.returncode == 1 and b"cannot reach the database at 127.0.0.1:%d" % port in run.stderr
    database = Database()
    database.run = lambda words: b"HTTP/1.1 400 Bad Request\r\n\r\n"
    run = count(database, b"a\n")
    assert run.returncode == 1 and b"does not speak RESP" in run.stderr, run.stderr
    database.run = lambda words: b"+OK\r\n"
    run = count(database, b"a\n")
    assert run.returncode == 1 and b"no quipu database" in run.stderr, run.stderr
    database.run = lambda words: b"-ERR no\r\n"
    run = count(database, b"a\n")
    assert run.returncode == 1 and b"the database says: ERR no" in run.stderr, run.stderr


def test_a_database_that_stays_away_is_given_up_with_the_way_on():
    database, lines = Database(), lines_of(40000)

    def vanish(mark):
        database.close()
        database.break_chance = 1.0
    database.on_advance = vanish
    run = count(database, joined(lines), "--retry", "100ms")
    assert run.returncode == 1 and b"did not come back" in run.stderr, run.stderr
    assert b"--state" in run.stderr


# ---- with a real database


class RealDatabase:
    """A `quipu db` that keeps its ports over restarts."""

    def __init__(self, folder, *more):
        self.folder, self.more, self.port, self.peers = folder, more, 0, 0
        self.start()

    def start(self):
        self.process = start(
            [BINARY, "db", "--replica", "r1", "--data", self.folder, "--listen",
             f"127.0.0.1:{self.port}", "--peer-listen", f"127.0.0.1:{self.peers}", *self.more],
            stderr=subprocess.PIPE)
        for line in self.process.stderr:
            found = re.search(rb"ready, RESP on [^ ]*:(\d+), peers on [^ ]*:(\d+)", line)
            if found:
                self.port, self.peers = int(found[1]), int(found[2])
                return
        raise AssertionError("the database did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.process.stderr.close()

    def ask(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            stream = connection.makefile("rb")
            connection.sendall(b"*%d\r\n" % len(words) +
                               b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return read_answer(stream)


def read_answer(stream):
    line = stream.readline().rstrip(b"\r\n")
    if line[:1] == b"$":
        return None if line == b"$-1" else stream.read(int(line[1:]) + 2)[:-2]
    if line[:1] == b"*":
        return [read_answer(stream) for _ in range(int(line[1:]))]
    return line[1:]


def test_a_database_that_is_killed_while_counting_ends_exact():
    for durability in ("relaxed", "strict"):
        with tempfile.TemporaryDirectory() as folder:
            database = RealDatabase(os.path.join(folder, "data"), "--durability", durability)
            lines = lines_of(300000)
            with tempfile.TemporaryFile() as file:
                file.write(joined(lines))
                file.seek(0)
                process = start(words_of(database, "--retry", "60s"), stdin=file,
                                stderr=subprocess.PIPE)
                kills = 0
                while process.poll() is None and kills < 8:
                    before = database.ask(b"GET", lines[0])
                    while process.poll() is None and database.ask(b"GET", lines[0]) == before:
                        pass
                    database.kill()
                    kills += 1
                    database.start()
                _, stderr = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, stderr
            assert kills > 1
            truth = collections.Counter(lines)
            values = database.ask(b"MGET", *truth)
            assert [int(value) for value in values] == list(truth.values()), durability
            assert int(database.ask(b"DBSIZE")) == len(truth)
            database.stop()


def run_quipu(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=SECONDS)


def test_check_tells_a_whole_directory_from_a_damaged_one():
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        database = RealDatabase(data)
        for i in range(50):
            database.ask(b"SET", b"key %d" % i, b"1")
        in_use = run_quipu("check", data)
        assert in_use.returncode == 1 and "another process" in in_use.stderr, in_use
        database.stop()
        whole = run_quipu("check", data)
        assert whole.returncode == 0 and "whole" in whole.stdout, whole
        segment = max(pathlib.Path(data).iterdir(), key=lambda path: path.read_bytes().count(b"key "))
        content = bytearray(segment.read_bytes())
        content[content.index(b"key 1")] ^= 1
        segment.write_bytes(content)
        damaged = run_quipu("check", data)
        assert damaged.returncode == 1 and segment.name in damaged.stderr, damaged
        missing = run_quipu("check", os.path.join(folder, "missing"))
        assert missing.returncode == 1 and "No such file" in missing.stderr, missing
        file = run_quipu("check", str(segment))
        assert file.returncode == 1 and "not a directory" in file.stderr, file
        assert run_quipu("check").returncode == 2


def backup(database, target):
    return run_quipu("backup", "--db", f"127.0.0.1:{database.port}", target)


def test_a_backup_of_a_busy_database_restores_to_what_was_there_when_it_began():
    with tempfile.TemporaryDirectory() as folder:
        at = functools.partial(os.path.join, folder)
        database = RealDatabase(at("data"))
        keys = [b"key\t%d" % i for i in range(2000)]
        expect_counts_of = collections.Counter()

        def write(rounds):
            for _ in range(rounds):
                database.ask(b"QUIPU.ADVANCE", b"mark", b"%d" % expect_counts_of[b"mark"],
                             b"%d" % (expect_counts_of[b"mark"] + 1),
                             *[word for key in keys for word in (key, b"1")])
                expect_counts_of.update(keys)
                expect_counts_of[b"mark"] += 1

        write(5)
        database.ask(b"GADD", b"fans", b"ada", b"bob\n")
        before = dict(expect_counts_of)
        busy = threading.Thread(target=write, args=(40,))
        done = backup(database, at("first"))
        assert done.returncode == 0 and "whole" in done.stderr, done
        busy.start()
        done = backup(database, at("second"))
        assert done.returncode == 0, done
        busy.join()
        database.kill()

        assert dumped(at("first")) == before
        second = dumped(at("second"))
        rounds = second.pop(b"mark")
        assert 5 <= rounds <= 45 and set(second.values()) == {rounds}, "a backup is of one moment"
        assert run_quipu("check", at("first")).returncode == 0
        members = run_quipu("dump", at("first")).stdout
        assert "fans\tgset\t2\n\tmember\t" in members and "\tmember\tbob\\x0a\n" in members

        done = run_quipu("restore", at("first"), "--to", at("again"))
        assert done.returncode == 0, done
        restored = RealDatabase(at("again"), "--start-wait", "10")
        assert [int(restored.ask(b"GET", key)) for key in keys[:20]] == [5] * 20
        restored.ask(b"INCR", keys[0])
        restored.stop()
        assert "restored" not in os.listdir(at("again"))
        again = RealDatabase(at("again"), "--start-wait", "10")
        assert int(again.ask(b"GET", keys[0])) == 6
        again.stop()
        assert run_quipu("dump", "--cells", at("again")).stdout.count("\tcell\t") > len(keys)


def dumped(directory):
    """Counters by key, of `quipu dump`."""
    done = run_quipu("dump", directory)
    assert done.returncode == 0, done
    rows = [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("\t")]
    return {row[0].replace("\\x09", "\t").encode(): int(row[2]) for row in rows if row[1] == "counter"}


def test_backup_and_restore_say_why_they_do_not():
    with tempfile.TemporaryDirectory() as folder:
        at = functools.partial(os.path.join, folder)
        database = RealDatabase(at("data"))
        database.ask(b"INCR", b"k")
        os.mkdir(at("there"))
        assert "is there already" in backup(database, at("there")).stderr
        assert "is there already" in run_quipu("restore", at("data"), "--to", at("there")).stderr
        running = run_quipu("restore", at("data"), "--to", at("new"))
        assert running.returncode == 1 and "a database is running with it" in running.stderr, running
        identifier = database.ask(b"QUIPU.BACKUP", b"BEGIN")[0]
        second = backup(database, at("new"))
        assert second.returncode == 1 and "another backup is under way" in second.stderr, second
        assert not os.path.exists(at("new"))
        assert database.ask(b"QUIPU.BACKUP", b"END", identifier) == b"OK"
        assert b"no such backup" in database.ask(b"QUIPU.BACKUP", b"READ", identifier, b"x", b"0")
        assert b"not an integer" in database.ask(b"QUIPU.BACKUP", b"READ", identifier, b"x", b"-1")
        assert backup(database, at("new")).returncode == 0  # what the attempt has left is no hindrance
        database.stop()
        gone = backup(database, at("other"))
        assert gone.returncode == 1 and "Connection refused" in gone.stderr, gone
        for log in sorted(pathlib.Path(at("new")).glob("log-*"), reverse=True):
            content = bytearray(log.read_bytes())
            content[70] ^= 1
            log.write_bytes(content)
            damaged = run_quipu("restore", at("new"), "--to", at("other"))
            assert damaged.returncode == 1 and "damaged" in damaged.stderr or log.name in damaged.stderr
            assert not os.path.exists(at("other"))
            assert run_quipu("check", at("new")).returncode == 1
        assert "No such file" in run_quipu("dump", at("missing")).stderr
        assert log.name in run_quipu("dump", at("new")).stderr


def test_up_says_what_is_wrong_before_it_starts_anything():
    with tempfile.TemporaryDirectory() as folder:
        in_the_way = os.path.join(folder, "file")
        pathlib.Path(in_the_way).write_text("")
        for place in (in_the_way, os.path.join(folder, "missing", "data")):
            run = run_quipu("up", "--data", place, "--port-base", str(free_base()))
            assert run.returncode == 1 and f"cannot keep data in {place}" in run.stderr, run
        run = run_quipu("up", "--data", folder, "--port-base", "65520")
        assert run.returncode == 2 and "last port" in run.stderr, run


def free_base():
    """Of 30 ports in a row that nobody has now."""
    for base in range(20000, 60000, 30):
        try:
            for port in range(base, base + 30):
                socket.create_server(("127.0.0.1", port)).close()
            return base
        except OSError:
            continue
    raise AssertionError("no free ports")


class Up:
    def __init__(self, folder):
        self.base = free_base()
        self.process = start(
            [BINARY, "up", "--regions", "2", "--data", folder, "--port-base", str(self.base)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait_for("up: ready")

    def wait_for(self, words):
        said = []
        for line in self.process.stderr:
            said.append(line)
            if words in line:
                return line
        raise AssertionError(f"never said {words!r}: {''.join(said)}")

    def child(self, *words):
        """The pid of the child whose command line has all of them."""
        for pid in os.listdir("/proc"):
            try:
                command = pathlib.Path("/proc", pid, "cmdline").read_text()
                status = pathlib.Path("/proc", pid, "stat").read_text()
            except (OSError, ValueError):
                continue
            parent = status.rsplit(")", 1)[1].split()[1]
            if parent == str(self.process.pid) and all(word in command for word in words):
                return int(pid)
        raise AssertionError(f"no child {words}")


def test_a_part_that_dies_is_named_and_started_again():
    with tempfile.TemporaryDirectory() as folder:
        up = Up(folder)
        for kind in ("db", "service", "realtime"):
            os.kill(up.child(f"\0{kind}\0", f":{up.base + {'db': 0, 'service': 2, 'realtime': 4}[kind]}\0"),
                    signal.SIGKILL)
            assert "signal 9" in up.wait_for(f"r1's {kind} ended unasked")
            up.wait_for(f"r1's {kind} is back")
        second = run_quipu("up", "--data", folder, "--port-base", str(free_base()))
        assert second.returncode == 1 and "another quipu up" in second.stderr, second
        up.process.send_signal(signal.SIGINT)
        up.process.communicate(timeout=60)
        assert up.process.returncode == 0


def main():
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_")]
    failed = 0
    for name, function in tests:
        try:
            function()
        except Exception:  # whatever it is, the other tests still run
            failed += 1
            print(f"FAILED: {name}\n{traceback.format_exc()}")
        while started:
            process = started.pop()
            if process.poll() is None:
                process.kill()
                process.wait()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
