// Codes of otplib for `authenticator_apps.py`: one JSON request per line of standard input, one code
// per line of standard output. Each code is also made by the simulated authenticator of the local
// page, which must agree.
//
// Usage: authenticator_codes.mjs DIRECTORY_OF_OTPLIB

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { generate } = createRequire(process.argv[2] + "/")("otplib");
const page = new URL("../local/src/page/script/authenticator.js", import.meta.url);
const pageCode = new Function(readFileSync(page, "utf8") + "return authenticatorCode;")();

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, algorithm, digits, counter } = JSON.parse(line);
  const code = await generate({ strategy: "hotp", secret, algorithm, digits, counter });
  const onPage = await pageCode({ secret, algorithm, digits }, counter);
  console.log(code === onPage ? code : `otplib: ${code}, page: ${onPage}`);
}
