// SPDX-License-Identifier: Apache-2.0
// Certificates by the openssl command: an authority, what it signs, and a stranger's.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { temporaryDirectory } from "./place.js";

const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });

export class Authority {
  constructor(name = "ca") {
    this.directory = temporaryDirectory(name);
    this.ca = this.#file("ca.crt");
    this.#key("ca");
    const subject = ["-subj", `/CN=${name}`, "-days", "2"];
    openssl("req", "-x509", "-new", "-key", this.#file("ca.key"), "-out", this.ca, ...subject);
  }

  #file(name) {
    return path.join(this.directory, name);
  }

  #key(name) {
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", this.#file(`${name}.key`));
  }

  // { cert, key, ca }: files of a certificate for 127.0.0.1, or of one that was valid until yesterday.
  issue(name, { days = 1, names = "IP:127.0.0.1,DNS:localhost" } = {}) {
    const [key, request, cert, config] = ["key", "csr", "crt", "cnf"].map((end) => this.#file(`${name}.${end}`));
    this.#key(name);
    fs.writeFileSync(config, `subjectAltName=${names}\n`);
    openssl("req", "-new", "-key", key, "-subj", `/CN=${name}`, "-out", request);
    const signed = ["-CA", this.ca, "-CAkey", this.#file("ca.key"), "-CAcreateserial", "-extfile", config];
    openssl("x509", "-req", "-in", request, ...signed, "-days", String(days), "-out", cert);
    return { cert, key, ca: this.ca };
  }
}

export const tlsArgs = ({ cert, key, ca }) => [
  ...["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca],
];

export const pem = ({ cert, key, ca }) => ({
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  ca: fs.readFileSync(ca),
});
