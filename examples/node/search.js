// Searches an archive for a spoken example. The contracts are loaded as they are: no code is generated.
//
//   wordspot serve all &
//   npm install && node search.js 127.0.0.1:50051 QUERY.wav [ARCHIVE]

import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const CHUNK_BYTES = 256 * 1024; // the most that one message may hold
const PROTO = join(dirname(fileURLToPath(import.meta.url)), "../../proto");

const [address, query, archive = "default"] = process.argv.slice(2);
if (!query) {
  console.error("usage: node search.js HOST:PORT QUERY.wav [ARCHIVE]");
  process.exit(2);
}

const definition = protoLoader.loadSync("wordspot/v1/search.proto", {
  includeDirs: [PROTO],
  keepCase: true,
  defaults: true,
});
const { SearchService } = grpc.loadPackageDefinition(definition).wordspot.v1;
const client = new SearchService(address, grpc.credentials.createInsecure());

const sound = await readFile(query);
const call = client.Search({ deadline: Date.now() + 60_000 });
call.write({ options: { archive, top_k: 5, include_undetected: true } });
call.write({ query: { label: basename(query) } });
for (let start = 0; start < sound.length; start += CHUNK_BYTES) {
  call.write({ chunk: sound.subarray(start, start + CHUNK_BYTES) });
}
call.end();

call.on("data", ({ result }) => {
  for (const hit of result.hits) {
    const place = `${hit.start_seconds.toFixed(2)} - ${hit.end_seconds.toFixed(2)}`;
    console.log(`${place}  P ${hit.p_correct.toFixed(2)}  ${hit.path}${hit.detected ? "" : "  ?"}`);
  }
});
call.on("error", (error) => {
  console.error(`${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
});
call.on("status", () => client.close());
