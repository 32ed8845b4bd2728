// SPDX-License-Identifier: Apache-2.0
// CLIENT REPLY: a connection that wants no answers, in both durabilities and in any split of a
// pipeline, whichever thread runs the commands.
import assert from "node:assert/strict";
import { test } from "../lib/test.js";
import { startDb } from "../lib/db.js";

for (const durability of ["relaxed", "strict"]) {
  test(`CLIENT REPLY OFF, ON and SKIP, ${durability}`, async () => {
    const db = await startDb({ args: ["--durability", durability, "--threads", "2"] });
    const connection = await db.connect();
    const pipeline = async (commands, expected) => {
      connection.write(
        Buffer.concat(
          commands.map((words) => Buffer.from(`${words}\r\n`)),
        ),
      );
      // The answer to a last PING shows that nothing else came before it.
      const replies = [];
      connection.onReply = (reply) => replies.push(reply);
      await new Promise((resolve) => {
        const look = setInterval(() => {
          if (replies.length < expected.length) return;
          clearInterval(look);
          resolve();
        }, 2);
      });
      assert.deepEqual(replies, expected);
    };
    await pipeline(
      ["CLIENT REPLY OFF", "INCR s:a", "SET s:b 7", "DEL s:c", "NONSENSE", "CLIENT LIST",
        "CLIENT REPLY ON", "GET s:a", "GET s:b"],
      ["OK", "1", "7"],
    );
    await pipeline(
      ["CLIENT REPLY SKIP", "SET s:b 8", "GET s:b", "CLIENT REPLY SKIP", "INCR s:b", "PING last"],
      ["8", "last"],
    );
    await pipeline(["CLIENT REPLY SKIP", "CLIENT REPLY ON", "GET s:b"], ["OK", "9"]);
    await pipeline(
      ["CLIENT REPLY OFF", ...Array.from({ length: 500 }, () => "INCR s:n"), "MULTI", "INCR s:n", "EXEC",
        "RESET", "GET s:n"],
      ["RESET", "501"],
    );
    connection.close();
    await db.stop();
  });
}
