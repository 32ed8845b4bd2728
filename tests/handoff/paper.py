#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Handoff counters, written down from the paper (Almeida, Baquero 2013, arXiv 1307.3207, figures 3 to
5) and from nothing of ours, over random histories: messages are snapshots, lost, doubled, overtaken
and kept for long; clients come and go. Prints each step and the state that must follow; a C test
takes the same steps and compares. At the end it says what the history came to.

    paper.py SEED STEPS published|safe full|pruned

full: messages as in the paper. pruned: those that only carry what the receiver can use, with
acknowledgements and departures, which the paper does not have.
"""
import copy
import random
import sys


class Node:
    def __init__(self, ident, tier):
        self.id, self.tier = ident, tier
        self.val = self.below = self.sck = self.dck = 0
        self.vals = {ident: 0}
        self.slots = {}  # source -> (sck, dck)
        self.tokens = {}  # (source, destination) -> ((sck, dck), amount)
        self.settled = {}  # peer -> tokens of its last message that named us
        self.departed, self.left = set(), set()

    def incr(self, n):
        self.vals[self.id] += n
        self.val += n

    def merge(self, other, published):
        if other.id == self.id:
            return
        self.fill_slots(other)
        self.discard_slot(other)
        if self.tier < 2:
            self.bury(other)
        self.create_slot(other)
        if self.tier == 0 and other.tier == 0:
            for ident, amount in other.vals.items():
                self.vals[ident] = max(amount, self.vals.get(ident, 0))
        self.aggregate(other, published)
        self.discard_tokens(other)
        self.create_token(other)
        self.cache_tokens(other)

    def fill_slots(self, other):
        for (source, destination), (clocks, amount) in other.tokens.items():
            if destination == self.id and self.slots.get(source) == clocks:
                self.vals[self.id] += amount
                del self.slots[source]
        self.settled[other.id] = {
            (source, destination, clocks)
            for (source, destination), (clocks, _) in other.tokens.items()
            if destination == self.id
        }

    def discard_slot(self, other):
        if other.id in self.slots and other.sck > self.slots[other.id][0]:
            del self.slots[other.id]

    def bury(self, other):
        self.departed |= other.departed
        self.left |= other.left
        for source, clocks in list(self.slots.items()):
            if source in self.departed and (source, self.id, clocks) not in self.left:
                del self.slots[source]

    def create_slot(self, other):
        if self.tier < other.tier and other.vals[other.id] > 0 and other.id not in self.slots:
            if other.id not in self.departed:
                self.slots[other.id] = (other.sck, self.dck)
                self.dck += 1

    def aggregate(self, other, published):
        if self.tier == other.tier:
            below = max(self.below, other.below)
        elif self.tier > other.tier:
            below = max(self.below, other.val)
        else:
            below = self.below
        own, theirs = self.vals[self.id], other.vals[other.id]
        if self.tier == 0:
            val = sum(self.vals.values())
        elif self.tier != other.tier:
            val = max(self.val, below + own)
        elif published:
            val = max(self.val, other.val, below + own + theirs)
        else:
            val = max(self.val, other.val, below + own, other.below + theirs + own)
        self.below, self.val = below, val

    def discard_tokens(self, other):
        for key, (clocks, _) in list(self.tokens.items()):
            source, destination = key
            gone = (source, destination, clocks) in other.acks
            if destination == other.id:
                if source in other.slots:
                    gone |= other.slots[source][1] > clocks[1]
                elif other.told == "all" or (other.told == "one" and source == self.id):
                    gone |= other.dck > clocks[1]
            if gone:
                del self.tokens[key]

    def create_token(self, other):
        if self.id in other.slots and other.slots[self.id][0] == self.sck:
            self.tokens[(self.id, other.id)] = (other.slots[self.id], self.vals[self.id])
            self.vals[self.id] = 0
            self.sck += 1

    def cache_tokens(self, other):
        if self.tier >= other.tier:
            return
        for (source, destination), token in other.tokens.items():
            held = self.tokens.get((source, destination))
            if source == other.id and destination != self.id and (not held or held[0][0] < token[0][0]):
                self.tokens[(source, destination)] = token

    def text(self):
        parts = [f"p{i}={n}" for i, n in self.vals.items() if n]
        slots = [f"s{i}:{s}:{d}" for i, (s, d) in self.slots.items()]
        tokens = [f"t{a}>{b}:{s}:{d}={n}" for (a, b), ((s, d), n) in self.tokens.items()]
        gone = [f"d{i}" for i in self.departed] + [f"l{a}>{b}:{c[0]}:{c[1]}" for a, b, c in self.left]
        words = sorted(parts + slots + tokens + gone)
        return " ".join([str(self.val), str(self.below), str(self.sck), str(self.dck)] + words)


def tell(node, to=None):
    message = copy.deepcopy(node)
    message.told, message.acks = "all", set()
    if node.tier:
        message.vals = {node.id: node.vals[node.id]}
    if node.tier > 1:
        message.departed, message.left = set(), set()
    if to is not None:
        message.acks = set(node.settled.get(to.id, ()))
        if node.tier < to.tier:
            message.told = "one"
            message.slots = {i: c for i, c in node.slots.items() if i == to.id}
        elif node.tier > to.tier:
            message.told, message.slots = "none", {}
    return message


def leave(node):
    message = tell(node)
    message.told, message.slots = "none", {}
    message.departed.add(node.id)
    message.left |= {(a, b, clocks) for (a, b), (clocks, _) in node.tokens.items()}
    return message


class History:
    def __init__(self, seed, published, pruned):
        self.random = random.Random(seed)
        self.published, self.pruned = published, pruned
        self.nodes, self.bag = {}, []
        self.messages = self.total = self.over = self.broken = self.next_id = 0
        self.leaving = set()
        for tier, most in ((0, 3), (1, 3), (2, 5)):
            for _ in range(self.random.randint(1, most)):
                self.come(tier)

    def come(self, tier):
        self.next_id += 1
        self.nodes[self.next_id] = Node(self.next_id, tier)
        print("N", self.next_id, tier)

    def state(self, ident):
        print("S", ident, self.nodes[ident].text())

    def judge(self, ident):
        self.over += self.nodes[ident].val > self.total
        held = sum(node.vals[node.id] for node in self.nodes.values())
        tokens = {
            (source, destination, clocks): amount
            for node in self.nodes.values()
            for (source, destination), (clocks, amount) in node.tokens.items()
        }
        for (source, destination, clocks), amount in tokens.items():
            if destination in self.nodes and self.nodes[destination].slots.get(source) == clocks:
                held += amount
        self.broken += held != self.total

    def incr(self, ident):
        n = self.random.randint(1, 4)
        self.nodes[ident].incr(n)
        self.total += n
        print("I", ident, n)
        self.state(ident)

    def say(self, source, to):
        receiver = self.nodes[to] if self.pruned else None
        self.messages += 1
        print("T", self.messages, source, to if self.pruned else 0, self.nodes[to].tier)
        return (to, self.messages, tell(self.nodes[source], receiver))

    def hear(self, to, number, message):
        node = self.nodes[to]
        node.merge(message, self.published)
        print("M", to, number)
        self.state(to)
        self.judge(to)
        if to not in self.leaving or node.vals[to]:
            return
        kept = message.tier < node.tier and all(message.tokens.get(k) == t for k, t in node.tokens.items())
        can_leave = not node.tokens or kept
        print("L", to, number, int(can_leave))
        if can_leave:
            self.go(to, message.id)

    def go(self, ident, server):
        if self.pruned and server in self.nodes:
            print("B", ident, server)
            self.nodes[server].merge(leave(self.nodes[ident]), self.published)
            self.state(server)
        print("D", ident)
        del self.nodes[ident]
        self.leaving.discard(ident)

    def linked(self):
        a, b = self.random.sample(sorted(self.nodes), 2)
        return (a, b) if self.nodes[a].tier + self.nodes[b].tier < 4 else None

    def live(self, steps):
        loss, double = self.random.choice((0, 0.1, 0.4)), self.random.choice((0, 0.2, 0.6))
        most = self.random.choice((5, 50, 300))
        for step in range(steps):
            draw = self.random.random()
            if draw < 0.2 and step < steps * 0.6:
                ident = self.random.choice(sorted(self.nodes))
                if ident not in self.leaving:
                    self.incr(ident)
            elif draw < 0.24 and step < steps * 0.6:
                clients = [i for i, n in self.nodes.items() if n.tier == 2 and i not in self.leaving]
                if clients:
                    self.leaving.add(self.random.choice(clients))
                    self.come(2)
            elif draw < 0.6:
                pair = self.linked()
                if pair and self.random.random() >= loss:
                    self.bag.append(self.say(*pair))
                if len(self.bag) > most:
                    self.bag.pop(self.random.randrange(len(self.bag)))
            elif self.bag:
                at = self.random.randrange(len(self.bag))
                to, number, message = self.bag[at]
                if self.random.random() >= double:
                    self.bag.pop(at)
                if to in self.nodes:
                    self.hear(to, number, message)

    def heal(self):
        self.leaving |= {i for i, n in self.nodes.items() if n.tier == 2}
        for _ in range(40):
            for a in sorted(self.nodes):
                for b in sorted(self.nodes):
                    if a in self.nodes and b in self.nodes and a != b and self.nodes[a].tier + self.nodes[b].tier < 4:
                        self.hear(*self.say(a, b))
        agree = all(n.val == self.total and not n.tokens for n in self.nodes.values())
        clients = sum(n.tier == 2 for n in self.nodes.values())
        slots = sum(len(n.slots) for n in self.nodes.values())
        print("END", self.total, self.over, self.broken, int(agree), clients, slots)


def main():
    seed, steps, estimate, form = sys.argv[1:5]
    history = History(int(seed), estimate == "published", form == "pruned")
    history.live(int(steps))
    history.heal()


main()
