// What run.mjs asks beside the model: whether the files are those that it was made with, and golden vectors.

/** A sentence for a person, with the exit status that it ends a command with. */
export class Refused extends Error {
  constructor(sentence, status = 3) {
    super(sentence);
    this.status = status;
  }
}

const AGAIN = "copy the whole folder again";

/** JSON of bytes. */
export const parsed = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** `hone` is what hone.json says, `whole(name)` the bytes of a file that are those that it was made with. */
export async function described(read, hash) {
  let hone;
  const bytes = await read("hone.json");
  try {
    hone = parsed(bytes);
    Object.keys(hone.files);
  } catch (error) {
    throw new Refused(`hone.json is not whole (${error.message}); ${AGAIN}`);
  }
  const whole = async (name) => {
    const bytes = await read(name), wrong = changed(name, await hash(bytes), hone.files[name]);
    if (wrong) throw new Refused(`${wrong}; ${AGAIN}`);
    return bytes;
  };
  return { hone, whole };
}

/** SHA-256 as hex; browsers give it over https and on localhost alone, undefined elsewhere. */
export async function sha256(bytes) {
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", bytes);
  return digest && Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A sentence on a file that has another SHA-256 than the expected one; "" where it has not, or none could be had. */
const changed = (name, found, expected) =>
  found === undefined || found === expected
    ? ""
    : `${name} has SHA-256 ${found.slice(0, 12)}, and it was made with ${expected?.slice(0, 12)}`;

/** The bytes of a file of this folder, in Node. */
export async function fileOf(name) {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL(name, import.meta.url)).catch((error) => {
    throw new Refused(`${name} cannot be read (${error.code}); ${AGAIN}`);
  });
}

/** What hone.json says when every file is the one that it names, in Node; read in parts, for a model may be large. */
export async function compared() {
  const [{ createReadStream }, { createHash }] = await Promise.all([import("node:fs"), import("node:crypto")]);
  const { hone } = await described(fileOf), wrong = [];
  for (const [name, expected] of Object.entries(hone.files)) {
    const found = createHash("sha256");
    try {
      for await (const part of createReadStream(new URL(name, import.meta.url))) found.update(part);
      wrong.push(changed(name, found.digest("hex"), expected));
    } catch (error) {
      wrong.push(`${name} cannot be read (${error.code})`);
    }
  }
  const sentences = wrong.filter(Boolean).join("; ");
  if (sentences) throw new Refused(`${sentences}; ${AGAIN}, or export it again`);
  return hone;
}

/** Prints what golden.json says otherwise than the model. */
export async function missed(model, golden) {
  const wrong = golden.texts.filter(({ text, ids }) => !same(model.tokenizer.encode(text), ids));
  const lines = wrong.map(({ text }) => `the text ${JSON.stringify(text)} has other ids`);
  for (const item of golden.vectors) {
    const prompt = same(model.promptIds(item.given), item.prompt_ids);
    const problem = prompt ? await differs(model, golden, item) : "the prompt has other ids";
    if (problem) lines.push(`row ${item.row}: ${problem}`);
  }
  const of = `${golden.vectors.length} golden vectors and ${golden.texts.length} texts`;
  console.log([...lines, `${lines.length} of ${of} missed`].join("\n"));
  process.exitCode = lines.length ? 1 : 0;
}

/** Whether two values are the same, whatever the order of their keys. */
const same = (one, other) => JSON.stringify(one, sorted) === JSON.stringify(other, sorted);
const sorted = (_, value) => {
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
};
