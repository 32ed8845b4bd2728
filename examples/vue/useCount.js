// SPDX-License-Identifier: Apache-2.0
// Live counts as Vue refs. One client for the whole application.
import { connect } from "quipu-live";
import { onScopeDispose, ref } from "vue";

export const live = connect("http://127.0.0.1:7004", { service: "http://127.0.0.1:7002" });

// The newest value of a counter; `initial` until the first has come.
export function useCount(key, initial = null) {
  const count = ref(initial);
  onScopeDispose(live.track(key, (value) => (count.value = value)));
  return count;
}

// This visitor is on the page while the component is shown.
export function usePresence(page) {
  onScopeDispose(live.publish(page));
}
