# SPDX-License-Identifier: Apache-2.0
"""Debian's redis-py with its defaults, against the port in argv[1]: counting, pipelines (which are
transactions there), WATCH, scans, sets, publish and subscribe, a lost connection. Prints "ok"."""
import sys
import threading
import redis

port = int(sys.argv[1])
client = redis.Redis(port=port, decode_responses=True)


def expect(what, expected):
    if what != expected:
        sys.exit(f"{what!r}, expected {expected!r}")


expect(client.ping(), True)
client.delete("py:a", "py:b", "py:s", "py:n")
expect(client.incr("py:a"), 1)
expect(client.incr("py:a", 41), 42)
expect(client.decr("py:a", 2), 40)
expect(client.get("py:a"), "40")
expect(client.set("py:b", 7), True)
expect(client.mset({"py:b": 8, "py:n": 1}), True)
expect(client.mget("py:a", "py:b", "py:none"), ["40", "8", None])
expect(client.exists("py:a", "py:b", "py:none"), 2)
expect(client.type("py:a"), "string")
expect(client.touch("py:a"), 1)
expect(client.object("encoding", "py:a"), "int")
expect(client.memory_usage("py:a") > 0, True)
expect(sorted(client.scan_iter("py:*")), ["py:a", "py:b", "py:n"])
expect(sorted(client.keys("py:*")), ["py:a", "py:b", "py:n"])
expect(client.sadd("py:s", "x", "y"), 2)
expect(client.smembers("py:s"), {"x", "y"})
expect(client.srem("py:s", "y"), 1)
expect(client.scard("py:s"), 1)

# A pipeline of redis-py is a transaction.
pipeline = client.pipeline()
pipeline.incr("py:n").incr("py:n").get("py:n")
expect(pipeline.execute(), [2, 3, "3"])


def add(transaction):
    before = int(transaction.get("py:n"))
    transaction.multi()
    transaction.incrby("py:n", before)


expect(client.transaction(add, "py:n"), [6])
with client.pipeline() as watching:
    watching.watch("py:n")
    client.incr("py:n")
    watching.multi()
    watching.incr("py:n")
    try:
        watching.execute()
        sys.exit("a change of a watched key did not matter")
    except redis.WatchError:
        pass

try:
    client.set("py:a", "text")
    sys.exit("a text was taken")
except redis.ResponseError as error:
    expect("must be an integer" in str(error), True)
try:
    client.rename("py:a", "py:c")
    sys.exit("RENAME was taken")
except redis.ResponseError as error:
    expect("RENAME is refused: " in str(error), True)

heard = []
listener = client.pubsub()
listener.subscribe("py:channel")
listener.psubscribe("py:ch*")
for _ in range(2):
    listener.get_message(timeout=5)
publisher = threading.Thread(target=client.publish, args=("py:channel", "hello"))
publisher.start()
while len(heard) < 2:
    message = listener.get_message(timeout=5)
    if message is None:
        sys.exit(f"only {heard} was heard")
    heard.append((message["type"], message["data"]))
publisher.join()
expect(sorted(heard), [("message", "hello"), ("pmessage", "hello")])
listener.close()

with client.monitor() as monitor:
    client.incr("py:seen")
    expect(monitor.next_command()["command"].lower(), "incrby py:seen 1")

expect(client.client_list()[0]["lib-name"] is not None, True)
expect(client.info()["redis_version"].startswith("7."), True)
expect(client.config_get("maxclients")["maxclients"].isdigit(), True)
expect(client.command_count() > 50, True)
expect(client.slowlog_len() >= 0, True)
expect(client.wait(0, 100), 0)

# A connection that the server ended is opened anew by the client; whoever was just using it is told.
own = client.client_id()
client.client_kill_filter(_id=own, skipme=False)
try:
    client.ping()
except redis.ConnectionError:
    pass
expect(client.client_id() != own, True)
expect(client.incr("py:a"), 41)
expect(client.flushall(), True)
expect(client.dbsize(), 0)
print("ok")
