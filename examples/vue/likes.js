// SPDX-License-Identifier: Apache-2.0
import { format } from "quipu-live";
import { createApp, h } from "vue";
import { live, useCount, usePresence } from "./useCount.js";

createApp({
  setup() {
    const likes = useCount("likes", 0);
    const readers = useCount("/article/7");
    usePresence("/article/7");
    return () => [
      h("button", { id: "like", onClick: () => live.add("likes") }, [
        "♥ ",
        h("output", { id: "likes" }, format(likes.value)),
      ]),
      h("output", { id: "viewers" }, format(readers.value)),
      " reading this now",
    ];
  },
}).mount("#root");
