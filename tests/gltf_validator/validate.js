// Khronos' glTF-Validator on the files named on the command line: one JSON report per line, in their order.
import { readFileSync } from "node:fs";
import validator from "gltf-validator";

for (const path of process.argv.slice(2)) {
  const report = await validator.validateBytes(new Uint8Array(readFileSync(path)), { maxIssues: 50 });
  console.log(JSON.stringify(report));
}
