// SPDX-License-Identifier: Apache-2.0
import { format } from "quipu-live";
import { createRoot } from "react-dom/client";
import { live, useCount, usePresence } from "./useCount.js";

function Likes() {
  const likes = useCount("likes", 0);
  const readers = useCount("/article/7");
  usePresence("/article/7");
  return (
    <p>
      <button id="like" onClick={() => live.add("likes")}>
        ♥ <output id="likes">{format(likes)}</output>
      </button>
      <output id="viewers">{format(readers)}</output> reading this now
    </p>
  );
}

createRoot(document.getElementById("root")).render(<Likes />);
