// SPDX-License-Identifier: Apache-2.0
// The same client with named exports: import { connect } from "./quipu.mjs".
import "./quipu.js";

globalThis.quipu.script ??= new URL("./quipu.js", import.meta.url).href;
export const { connect, format } = globalThis.quipu;
