// SPDX-License-Identifier: Apache-2.0
// The server asks the counter service for the first value and writes it into the page, so that it is
// right at once, for search engines and without JavaScript; the element then keeps it live.
//
//     node server.mjs [PORT]
import http from "node:http";

const live = process.env.QUIPU_LIVE || "http://127.0.0.1:7004";
const counters = process.env.QUIPU_COUNTERS || "http://127.0.0.1:7002";

async function counted(key) {
  const answer = await fetch(`${counters}/v1/counters?key=${encodeURIComponent(key)}`);
  const [counter] = (await answer.json()).counters;
  return BigInt(counter.value ?? 0).toLocaleString("en");
}

const page = (likes) => `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>An article</title>
  <script src="${live}/quipu.js" defer></script>
</head>
<body>
  <h1>An article</h1>
  <p>♥ <live-count id="likes" key="likes" src="${live}">${likes}</live-count></p>
</body>
</html>
`;

const server = http.createServer(async (request, answer) => {
  const likes = await counted("likes").catch(() => "–");
  answer.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end(page(likes));
});
server.listen(Number(process.argv[2] || 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
