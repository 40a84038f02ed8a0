// Prints one JSON object: how many audits passed, and those that did not. Exits 1 unless all passed.
import { serverAudits } from "graphql-http";

const [url] = process.argv.slice(2);
if (!url) {
  console.error("usage: node audit.mjs URL");
  process.exit(2);
}

const results = [];
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  results.push(await audit.fn());
}
const failed = results
  .filter((result) => result.status !== "ok")
  .map(({ id, name, status, reason }) => ({ id, name, status, reason }));

console.log(JSON.stringify({ total: results.length, ok: results.length - failed.length, failed }, null, 2));
process.exit(failed.length ? 1 : 0);
