// Drives @aws-sdk/client-lookoutvision for the contract tests: reads calls as JSON lines, answers each with one line.
//
//     node client.mjs FOLDER
//
// FOLDER holds node_modules with the client.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const sdk = require("@aws-sdk/client-lookoutvision");
const { version } = require("@aws-sdk/client-lookoutvision/package.json");
const clients = new Map();

console.log(JSON.stringify({ ready: version }));
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line, tagged);
  const key = `${call.endpoint} ${call.attempts}`;
  if (!clients.has(key)) {
    clients.set(key, new sdk.LookoutVisionClient({ endpoint: call.endpoint, maxAttempts: call.attempts }));
  }
  console.log(JSON.stringify(await answer(clients.get(key), call)));
}
process.exit(0);

async function answer(client, call) {
  try {
    if (call.page_size) {
      const pages = [];
      const paginate = sdk[`paginate${call.operation}`];
      for await (const page of paginate({ client, pageSize: call.page_size }, call.input)) pages.push(plain(page));
      return { pages };
    }
    return { output: plain(await client.send(new sdk[`${call.operation}Command`](call.input))) };
  } catch (error) {
    if (!(error instanceof sdk.LookoutVisionServiceException)) return { unexpected: String(error?.stack ?? error) };
    const { name, message, $metadata, $fault, $response, $retryable, ...members } = error;
    return {
      error: {
        code: name,
        message,
        is_modeled: name in sdk && error instanceof sdk[name],
        status: $metadata.httpStatusCode,
        members: plain(members),
      },
    };
  }
}

function tagged(key, value) {
  if (value?.$bytes !== undefined) return Buffer.from(value.$bytes, "base64");
  if (value?.$time !== undefined) return new Date(value.$time * 1000);
  return value;
}

// Times as seconds since 1970, bytes as base64, no metadata.
function plain(value) {
  if (value instanceof Date) return value.getTime() / 1000;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([name, each]) => name !== "$metadata" && each !== undefined);
  return Object.fromEntries(kept.map(([name, each]) => [name, plain(each)]));
}
