import { Refused, compared, described, fileOf, missed, parsed, sha256IMPORTS } from "./check.mjs";
import { Tokenizer } from "./tokenizer.mjs";

const USAGE = `Asks this folder's model.RUNTIME, with nothing of what trained it.

node run.mjs "a prompt"     node run.mjs '{"column": "value"}'     node run.mjs --check
NEEDS
--check asks every prompt of golden.json. Every file is compared with its SHA-256 in hone.json before anything runs.
exit status: 0 done, 1 golden vectors missed, 2 wrong input, 3 a file has changed or is missing, or what runs it is`;

/** The model of this folder; `hone` is what hone.json says. `answer(promptIds(given))` is in the task's terms. */
export class Model {
  constructor(hone, tokenizer) {
    Object.assign(this, { hone, tokenizer });
  }

  // The methods of this model's kind and runtime stand here.
}

/** Open the artifact, in a browser too: `read(name)` gives a file's bytes, `ort` ONNX Runtime, `server` is the address
 *  of llama.cpp's; `hash(bytes)` is their SHA-256, undefined where it cannot be had. */
export async function open({ read, ort, server, hash = sha256 }) {
  const { hone, whole } = await described(read, hash);
  const model = new Model(hone, new Tokenizer(parsed(await whole("tokenizer.json"))));
  await model.load({ whole, ort, server });
  return model;
}

async function main([asked, server = "http://127.0.0.1:8080", ...more]) {
  if (asked === "-h" || asked === "--help") return console.log(USAGE);
  if (!asked || more.length) throw new Refused(`one prompt is needed\n${USAGE}`, 2);
  const { kind } = await compared();
  let given = asked;
  try {
    if (/^[{[]/.test(asked) && kind !== "language-model") given = JSON.parse(asked);
  } catch { /* a text may begin with a bracket */ }
  const model = await open({ read: fileOf, server, hash: () => undefined }); // compared above
  if (asked === "--check") return missed(model, parsed(await fileOf("golden.json")));
  const answer = await model.answer(model.promptIds(given));
  console.log(typeof answer === "string" ? answer : JSON.stringify(answer));
}

if (globalThis.process?.argv?.[1]?.endsWith("run.mjs") && import.meta.url.endsWith("run.mjs")) {
  await main(process.argv.slice(2)).catch((problem) => {
    if (!(problem instanceof Refused)) throw problem;
    console.error(`run.mjs: ${problem.message}`);
    process.exitCode = problem.status;
  });
}
