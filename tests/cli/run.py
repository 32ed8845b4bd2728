#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`quipu count` against a database that breaks off anywhere; ends with "N passed, N failed".

    tests/cli/run.py [BINARY]        default build/release/quipu
"""
import collections
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
        process = subprocess.Popen(words_of(database, "--state", state), stdin=file,
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
    process = subprocess.Popen(words_of(database), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
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


def main():
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_")]
    failed = 0
    for name, function in tests:
        try:
            function()
        except (AssertionError, subprocess.TimeoutExpired, KeyError):
            failed += 1
            print(f"FAILED: {name}\n{traceback.format_exc()}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
