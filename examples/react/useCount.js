// SPDX-License-Identifier: Apache-2.0
// Live counts as React state. One client for the whole application.
import { connect } from "quipu-live";
import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";

export const live = connect("http://127.0.0.1:7004", { service: "http://127.0.0.1:7002" });

// The newest value of a counter; `initial` until the first has come, and where the server renders.
export function useCount(key, initial = null) {
  const value = useRef(initial);
  const subscribe = useCallback(
    (changed) =>
      live.track(key, (newest) => {
        value.current = newest;
        changed();
      }),
    [key],
  );
  return useSyncExternalStore(subscribe, () => value.current, () => initial);
}

// This visitor is on the page while the component is shown.
export function usePresence(page) {
  useEffect(() => live.publish(page), [page]);
}
