# SPDX-License-Identifier: Apache-2.0
"""Tables of the benchmark, as Markdown that is also read well in a terminal. Each function gives
its lines and the verdict on its targets."""


def table(head, rows):
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|"] + [
        line(row) for row in rows
    ]


class Verdict:
    """Figures held against their targets, and how many met them."""

    def __init__(self):
        self.met = self.missed = 0

    def of(self, value, target, form="{:.2f} ×"):
        is_met = value <= target
        self.met += is_met
        self.missed += not is_met
        return f"{form.format(value)} (at most {target:g}: {'met' if is_met else 'MISSED'})"


def us(sample):
    return f"{sample['server_us']:.3f}"


def latency(sample):
    return " / ".join(f"{sample[name]:.0f}" for name in ("p50_us", "p99_us", "p999_us"))


def rate(sample):
    return f"{sample['ops_s'] / 1000:.0f} k/s"


def incr(rows, targets, mesh_target):
    verdict = Verdict()
    cost = [
        [
            row["keys"],
            str(row["pipeline"]),
            us(row["redis"]),
            us(row["quipu"]),
            verdict.of(row["quipu"]["server_us"] / row["redis"]["server_us"], targets[row["pipeline"]]),
            us(row["mesh"]),
            verdict.of(row["mesh"]["server_us"] / row["quipu"]["server_us"], mesh_target),
            f"{row['peers_cores']:.2f}",
        ]
        for row in rows
    ]
    speed = [
        [row["keys"], str(row["pipeline"])]
        + [f"{rate(row[who])}, {latency(row[who])}" for who in ("redis", "quipu", "mesh")]
        for row in rows
    ]
    head = ["keys", "pipeline", "Redis us", "quipu us", "of Redis", "meshed us", "of single", "a peer, cores"]
    lines = ["### INCR, server CPU an operation (Redis appendonly no, quipu relaxed)", ""]
    lines += table(head, cost)
    lines += ["", "Throughput and latency p50 / p99 / p99.9 in us (the loader shares the machine):", ""]
    lines += table(["keys", "pipeline", "Redis", "quipu", "meshed"], speed)
    return lines, verdict


def strict(rows, target):
    verdict = Verdict()
    body = []
    for row in rows:
        ratio = row["quipu"]["server_us"] / row["redis"]["server_us"]
        has_target = row["pipeline"] == 64
        body.append(
            [
                row["keys"],
                str(row["pipeline"]),
                us(row["redis"]),
                us(row["quipu"]),
                verdict.of(ratio, target) if has_target else f"{ratio:.2f} ×",
                latency(row["redis"]),
                latency(row["quipu"]),
            ]
        )
    head = ["keys", "pipeline", "Redis us", "quipu us", "of Redis", "Redis p50/99/99.9 us", "quipu p50/99/99.9 us"]
    lines = ["### INCR on disk before the reply (Redis appendfsync always, quipu strict)", ""]
    return lines + table(head, body), verdict


def memory(rows, target):
    verdict = Verdict()
    body = []
    for row in rows:
        each = row["bytes"] / row["keys"]
        is_ours = row["server"] == "quipu"
        body.append(
            [
                row["server"],
                f"{row['empty'] / 1e6:.1f} MB",
                f"{row['bytes'] / 1e6:.1f} MB",
                verdict.of(each, target, "{:.1f} bytes") if is_ours else f"{each:.1f} bytes",
            ]
        )
    lines = [f"### Memory of {rows[0]['keys']:,} counters with 16-byte keys, the whole process", ""]
    return lines + table(["server", "empty", "filled", "a counter"], body), verdict


def fanout(middle, subscribers):
    body = []
    for who, name in (("send", "plain send()"), ("quipu", "quipu realtime")):
        sample = middle[who]
        ratio = sample["server_us"] / middle["send"]["server_us"]
        body.append(
            [
                name,
                f"{sample['server_us']:.3f}",
                f"{ratio:.2f} ×",
                f"{sample['all_p50_us'] / 1000:.1f} ms",
                f"{sample['surplus']}",
            ]
        )
    lines = [f"### One change to {subscribers} WebSocket subscribers, every one received it", ""]
    head = ["sender", "CPU us a delivery", "of send()", "all have it after (p50)", "surplus frames"]
    lines += table(head, body)
    lines += ["", "The time of quipu is from the INCR in the database, through hook, service and a tick."]
    return lines, Verdict()


def read(rows):
    body = [
        [
            row["op"],
            row["keys"],
            str(row["pipeline"]),
            us(row["redis"]),
            us(row["quipu"]),
            f"{row['quipu']['server_us'] / row['redis']['server_us']:.2f} ×",
            latency(row["redis"]),
            latency(row["quipu"]),
        ]
        for row in rows
    ]
    head = ["op", "keys", "pipeline", "Redis us", "quipu us", "of Redis", "Redis p50/99/99.9 us", "quipu p50/99/99.9 us"]
    return ["### Reads, server CPU an operation (MGET: of 32 keys)", ""] + table(head, body), Verdict()


def sets(rows, memory, sadd_target, member_target):
    verdict = Verdict()
    body = []
    for row in rows:
        ratio = row["quipu"]["server_us"] / row["redis"]["server_us"]
        is_add = row["what"].startswith("SADD")
        shown = verdict.of(ratio, sadd_target) if is_add else f"{ratio:.2f} ×"
        body.append([row["what"], us(row["redis"]), us(row["quipu"]), shown])
    lines = ["### A set of a million 16-byte members, pipeline 16, server CPU an operation", ""]
    lines += table(["", "Redis us", "quipu us", "of Redis"], body)
    shown = verdict.of(memory["quipu"], member_target, "{:.0f} bytes")
    lines += ["", f"Resident memory a member: Redis {memory['redis']:.0f} bytes, quipu {shown}."]
    return lines, verdict


def restart(rows):
    body = [[row["server"], f"{row['ms']:.0f} ms"] for row in rows]
    lines = [f"### From the start of the process to its first answer, {rows[0]['keys']:,} counters, after kill -9", ""]
    return lines + table(["server", "time"], body), Verdict()


def escrow(rows):
    body = [
        [
            row["name"],
            str(row["asked"]),
            str(row["sold"]),
            str(row["avoidable"]),
            f"{100 * row['avoidable'] / row['asked']:.1f} %",
        ]
        for row in rows
    ]
    head = ["demand", "asked", "served", "refused, stock left elsewhere", "of all asked"]
    lines = [f"### A bounded counter of {rows[0]['stock']:,} over three regions, all of it asked for by tens", ""]
    return lines + table(head, body), Verdict()
