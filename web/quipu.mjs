// SPDX-License-Identifier: Apache-2.0
// The same client with named exports: import { connect } from "./quipu.mjs".
import "./quipu.js";

export const { connect, format } = globalThis.quipu;
