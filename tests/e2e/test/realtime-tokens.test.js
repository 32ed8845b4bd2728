// SPDX-License-Identifier: Apache-2.0
// Streams that need a token: who has one tracks and publishes what it allows, until it expires.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "../lib/test.js";
import WebSocket from "ws";
import { Events, poll } from "../lib/events.js";
import { get } from "../lib/http.js";
import { finish } from "../lib/part.js";
import { temporaryFile } from "../lib/place.js";
import { QUICK, Region, startRealtime } from "../lib/region.js";
import { Stream } from "../lib/stream.js";
import { until, within } from "../lib/until.js";

const OLD = "the key of the time before";
const KEY = "the key that is used now";
let region;
let realtime;

// A JSON Web Token as any web framework's library makes it.
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(claims, { key = KEY, algorithm = "HS256" } = {}) {
  const text = `${part({ alg: algorithm, typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}
const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const likes = () => token({ exp: inSeconds(600), track: ["likes:*"], publish: ["/a/*"] });

before(async () => {
  region = await Region.start();
  const files = [OLD, KEY].flatMap((key) => ["--token-key-file", temporaryFile("key", `${key}\n`)]);
  realtime = await startRealtime(region.service, { args: [...QUICK, ...files] });
});

after(async () => {
  assert.equal(await realtime.part.stop(), 0);
  await region.stop();
});

async function open(words) {
  const stream = new Stream(
    new WebSocket(`ws://127.0.0.1:${realtime.port}/v1/stream?token=${words}`, "quipu.v1.json"),
  );
  await within(5000, "a WebSocket", new Promise((resolve, reject) => {
    stream.socket.on("open", resolve).on("error", reject);
  }));
  return stream;
}

const refusal = (words) =>
  open(words).then(
    () => assert.fail("opened"),
    (error) => Number(String(error).match(/(\d{3})$/)[1]),
  );

test("a stream without a token, or with one that is wrong or expired, is refused with 401", async () => {
  await assert.rejects(Stream.open(realtime.port), /401/);
  const wrong = [
    "",
    "abc",
    token({ exp: inSeconds(60) }, { key: "somebody else's key" }),
    token({ exp: inSeconds(60) }, { algorithm: "none" }),
    token({ exp: inSeconds(-60), track: ["*"] }),
    token({ exp: inSeconds(600), nbf: inSeconds(300), track: ["*"] }),
    token({ track: ["*"] }),
  ];
  for (const words of wrong) {
    assert.equal(await refusal(words), 401, words);
    assert.equal((await poll(realtime.url, [["track", "likes:a"], ["token", words]])).status, 401);
    assert.equal((await Events.open(realtime.port, [["track", "likes:a"], ["token", words]])).status, 401);
    assert.equal((await get(`${realtime.url}/v1/topics?token=${words}`)).status, 401);
  }
});

test("a token allows the keys that its patterns match, and no others", async () => {
  const stream = await open(likes());
  await region.db.call("INCRBY", "likes:a", 3);
  stream.track("likes:a");
  await stream.shows("likes:a", 3);
  stream.track("secret");
  await until(() => stream.errors.some(({ code }) => code === "forbidden"), "a refusal");
  assert.equal(stream.errors[0].subject, "secret");
  stream.send({ publish: ["/b/1"] });
  await until(() => stream.errors.length === 2, "another");
  stream.send({ publish: ["/a/1"] });
  await until(async () => (await region.db.call("QUIPU.VALUE", "/a/1"))[1]?.[1] === 1, "a viewer");
  await stream.close();
  const events = await Events.open(realtime.port, [["track", "likes:a"], ["token", likes()]]);
  await events.shows("likes:a", 3);
  await events.close();
  const bearer = await Events.open(realtime.port, [["track", "likes:a"]], {
    headers: { Authorization: `Bearer ${likes()}` },
  });
  await bearer.shows("likes:a", 3);
  await bearer.close();
  const beyond = await Events.open(realtime.port, [["track", "secret"], ["token", likes()]]);
  assert.equal(beyond.status, 403);
  assert.equal((await get(`${realtime.url}/v1/topics/secret?token=${likes()}`)).status, 403);
  assert.equal((await get(`${realtime.url}/v1/topics/likes:a?token=${likes()}`)).status, 200);
});

test("both keys are taken while one takes the other's place", async () => {
  const stream = await open(token({ exp: inSeconds(60), track: ["*"] }, { key: OLD }));
  stream.track("likes:a");
  await stream.shows("likes:a", 3);
  await stream.close();
});

test("when a token expires its stream ends with 4001; one that brings a new one goes on", async () => {
  const short = () => token({ exp: inSeconds(-3), track: ["*"] }); // within the grace of 5 s
  const ends = await open(short());
  const goes = await open(short());
  ends.track("likes:a");
  goes.send({ token: likes(), track: ["likes:a"] });
  await goes.shows("likes:a", 3);
  assert.equal((await within(10_000, "the close", ends.closed)).code, 4001);
  await region.db.call("INCR", "likes:a");
  await goes.shows("likes:a", 4);
  goes.send({ token: "nonsense" });
  await until(() => goes.errors.some(({ code }) => code === "bad_token"), "a refusal");
  await region.db.call("INCR", "likes:a");
  await goes.shows("likes:a", 5);
  await goes.close();
});

test("a key file that is none stops the start with what is wrong", async () => {
  for (const [file, words] of [
    [temporaryFile("short", "short"), /16 to 128 bytes/],
    ["/nonexistent/key", /No such file/],
  ]) {
    const { code, stderr } = await finish(["realtime", "--token-key-file", file]);
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.match(stderr, /token-key-file/);
  }
});
