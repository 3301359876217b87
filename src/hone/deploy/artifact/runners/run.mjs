// Answers prompts with the artifact in this folder alone, in Node and in a browser. Nothing else of hone is needed.
//   node run.mjs "a prompt"     node run.mjs '{"column": "value"}'     node run.mjs --check
// model.onnx: npm install onnxruntime-node (or onnxruntime-web), beside this file or in the folder where you call it.
// model.gguf: over llama.cpp's own server: llama-server -m model.gguf & node run.mjs "a prompt" [http://127.0.0.1:8080]
const USAGE = `node run.mjs "a prompt"     node run.mjs '{"column": "value"}'     node run.mjs --check
model.onnx: npm install onnxruntime-node (or onnxruntime-web), beside this file or in the folder where you call it
model.gguf: llama-server -m model.gguf & node run.mjs "a prompt" [http://127.0.0.1:8080]

--check asks every prompt of golden.json. Every file is compared with the SHA-256 in hone.json before anything runs.
exit status: 0 done, 1 golden vectors missed, 2 wrong input, 3 a file has changed or is missing, or what runs it is`;

/** A sentence for a person, with the exit status that it ends a command with. */
export class Refused extends Error {
  constructor(sentence, status = 3) { super(sentence); this.status = status; }
}

const SPLIT = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const printable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
let moved = 256; // GPT-2's table: one printable character per byte
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : moved++));
const BYTE_OF = new Map(BYTES.map((letter, byte) => [letter, byte]));
const utf8 = (text) => [...new TextEncoder().encode(text)];

/** tokenizer.json of three kinds: byte-level BPE (GPT-2's split), SentencePiece's BPE, WordPiece. */
export class Tokenizer {
  constructor({ model, pre_tokenizer: pre, normalizer, added_tokens: added = [] }) {
    const steps = pre?.pretokenizers ?? (pre ? [pre] : []);
    this.kind = model.type === "WordPiece" ? "words" : steps.some((one) => one.type === "ByteLevel") ? "bytes" : "pieces";
    const known = ["ByteLevel", "Digits", "Split", "Metaspace", "BertPreTokenizer"];
    const strange = steps.find((one) => !known.includes(one.type))?.type;
    if (strange || (this.kind !== "words" && normalizer)) throw Error(`tokenizer.json: ${strange ?? normalizer.type} is not read here`);
    Object.assign(this, { model, vocab: model.vocab, normalizer, digits: steps.some((one) => one.individual_digits) });
    this.ranks = new Map((model.merges ?? []).map((pair, rank) => [Array.isArray(pair) ? pair.join(" ") : pair, rank]));
    this.texts = new Map(Object.entries(this.vocab).map(([text, id]) => [id, text]));
    this.special = new Set(added.filter((one) => one.special).map((one) => one.id));
    this.plain = added.filter((one) => !one.special).sort((a, b) => b.content.length - a.content.length);
    for (const one of this.plain) this.texts.set(one.id, one.content);
  }

  encode(text) { // never a special id: text that looks like one stays text
    for (const { content, id } of this.plain) {
      const at = text.indexOf(content);
      if (at >= 0) return [...this.encode(text.slice(0, at)), id, ...this.encode(text.slice(at + content.length))];
    }
    if (!text) return [];
    if (this.kind === "words") return this.words(text).flatMap((word) => this.pieces(word));
    if (this.kind === "pieces") return this.merged([...(text[0] === " " ? "" : "\u2581") + text.replaceAll(" ", "\u2581")].flatMap((one) => one in this.vocab ? [one] : utf8(one).map(hexed)));
    const parts = this.digits ? text.split(/(\p{N})/u) : [text];
    return parts.flatMap((part) => part.match(SPLIT) ?? []).flatMap((word) => this.merged(utf8(word).map((byte) => BYTES[byte])));
  }

  merged(symbols) { // byte pair encoding: the pair of the best rank first
    for (;;) {
      let best = Infinity, at = -1;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = this.ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return symbols.map((one) => this.vocab[one]);
      symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
    }
  }

  words(text) { // BERT's normalizer and pre-tokenizer
    const { lowercase, strip_accents, clean_text, handle_chinese_chars: spaced } = this.normalizer ?? {};
    if (clean_text) text = text.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, "").replace(/\p{White_Space}/gu, " ");
    if (spaced) text = text.replace(/[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu, " $& ");
    if (strip_accents ?? lowercase) text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
    if (lowercase) text = [...text].map((one) => one.toLowerCase()).join("");
    return text.match(/[!-/:-@[-`{-~]|\p{P}|[^\p{White_Space}\p{P}!-/:-@[-`{-~]+/gu) ?? [];
  }

  pieces(word) { // WordPiece: the longest beginning that is known, then the longest rest
    const letters = [...word], unknown = [this.vocab[this.model.unk_token]], ids = [];
    if (letters.length > this.model.max_input_chars_per_word) return unknown;
    for (let start = 0, end; start < letters.length; start = end) {
      const piece = (to) => (start ? this.model.continuing_subword_prefix : "") + letters.slice(start, to).join("");
      for (end = letters.length; end > start && !(piece(end) in this.vocab); end--);
      if (end === start) return unknown;
      ids.push(this.vocab[piece(end)]);
    }
    return ids;
  }

  decode(ids) {
    const texts = ids.filter((id) => !this.special.has(id)).map((id) => this.texts.get(id) ?? "");
    const bytes = (text) => this.kind === "bytes" ? [...text].map((one) => BYTE_OF.get(one)) : /^<0x..>$/.test(text) ? [parseInt(text.slice(3, 5), 16)] : utf8(text.replaceAll("\u2581", " "));
    const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(texts.flatMap(bytes)));
    return this.kind === "pieces" ? whole.replace(/^ /, "") : whole;
  }
}

const hexed = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
const HOLE = /\{\{|\}\}|\{([^{}]*)\}/g;
const fill = (template, fields) => template.replace(HOLE, (whole, column) => (column === undefined ? whole[0] : asText(fields[column], column)));
const asText = (value, column) => {
  if (typeof value === "string" || Number.isSafeInteger(value)) return String(value);
  throw new Refused(`the prompt needs the column "${column}" as text; got ${JSON.stringify(value)}`, 2);
};
const bare = (value) => {
  if (typeof value === "string") return value.replace(/^ /, "");
  if (Array.isArray(value)) return value.map(bare);
  return value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, part]) => [key, bare(part)])) : value;
};

/** The model with its renderer: `answer(given)` in the task's terms, `stream(given, onText)`, `check(golden)`. */
export class Model {
  constructor(hone, tokenizer, runtime) {
    Object.assign(this, { hone, tokenizer, runtime, ids: hone.ids, renderer: hone.renderer ?? { input: null, layout: "json" } });
  }

  promptIds(given) {
    const { ids, renderer, tokenizer, hone } = this, template = renderer.input, encoder = "marks" in renderer;
    if (hone.kind === "language-model" && !encoder) return [...("begin" in ids ? [ids.begin] : []), ...tokenizer.encode(given)];
    if (template?.conversation) {
      const turns = typeof given === "string" ? [{ role: "user", content: given }] : given;
      if (!Array.isArray(turns) || !turns.every((one) => one?.role in ids.roles)) throw new Refused(`the prompt needs a text or turns, each with role (${Object.keys(ids.roles).join(", ")}) and content`, 2);
      return [...this.fitting(turns, template.longest), ids.answer];
    }
    const parts = typeof template === "string" ? [template] : (template ?? []).map((turn) => turn.content);
    const columns = new Set(parts.flatMap((one) => [...one.matchAll(HOLE)].map((hole) => hole[1]).filter(Boolean)));
    const fields = typeof given === "string" && columns.size === 1 ? { [[...columns][0]]: given } : given;
    const text = typeof template === "string" ? fill(template, fields) : template ? template.map((turn) => `${turn.role}: ${fill(turn.content, fields)}`).join("\n") : given;
    return encoder ? [ids.begin, ...tokenizer.encode(text), ids.end] : [...tokenizer.encode(" " + text), ids.answer];
  }

  fitting(turns, longest) { // where the model drops turns: without the oldest that leave no room for an answer
    const idsOf = (some) => some.flatMap((turn) => [this.ids.roles[turn.role], ...this.tokenizer.encode(" " + turn.content), this.ids.end]);
    while (longest && idsOf(turns).length + 1 + this.renderer.longest_answer > longest) {
      const rest = turns.filter((turn) => turn.role !== "system");
      const start = rest.findIndex((turn, at) => at && turn.role === "user");
      if (start < 0) break;
      turns = [...turns.filter((turn) => turn.role === "system"), ...rest.slice(start)];
    }
    return idsOf(turns);
  }

  parse(text) {
    if (this.hone.kind !== "extract") return this.hone.kind === "generate" ? text.replace(/^ /, "") : text;
    let value = null;
    try { value = JSON.parse(text); } catch { return null; }
    if (!value || typeof value !== "object" || Array.isArray(value)) return null;
    return this.renderer.layout === "json" ? value : bare(value);
  }

  async shares(promptIds) {
    const logits = [...(await this.runtime.labelLogits(promptIds))].map((one) => one / (this.renderer.temperature ?? 1));
    if (this.hone.kind === "multi-label") return logits.map((one) => 1 / (1 + Math.exp(-one)));
    const most = Math.max(...logits), parts = logits.map((one) => Math.exp(one - most)), sum = parts.reduce((a, b) => a + b);
    return parts.map((one) => one / sum);
  }

  async tags(promptIds) {
    const logits = [...(await this.runtime.labelLogits(promptIds))], width = logits.length / promptIds.length;
    return promptIds.map((_, at) => logits.slice(at * width, (at + 1) * width)).map((row) => row.indexOf(Math.max(...row)));
  }

  chosen(shares) {
    const { labels, kind, threshold } = this.hone;
    return kind === "multi-label" ? labels.filter((_, at) => shares[at] >= threshold).sort() : labels[shares.indexOf(Math.max(...shares))];
  }

  async generate(promptIds, limit, onIds = () => {}) {
    const found = [], room = Math.min(limit || this.hone.context, this.hone.context - promptIds.length);
    for await (const id of this.runtime.next(promptIds, room)) {
      if (this.hone.stop_ids.includes(id)) return found;
      found.push(id);
      await onIds(found);
    }
    return found;
  }

  async stream(given, onText) { // the answer as text while it is written, then its value
    const ids = this.promptIds(given), { context } = this.hone;
    if (ids.length > context - !("marks" in this.renderer)) throw new Refused(`the prompt is ${ids.length} tokens long, and the model's context is ${context}`, 2); // a decoder writes at least one more
    if (this.hone.labels.length && this.hone.kind !== "tag") return this.chosen(await this.shares(ids));
    if (this.hone.kind === "tag") { // each token that belongs to an entity, with its tag
      const names = ["O", ...this.hone.labels.flatMap((label) => [`B-${label}`, `I-${label}`])], marks = Object.values(this.ids);
      const tags = await this.tags(ids);
      return ids.flatMap((id, at) => (tags[at] && !marks.includes(id) ? [[this.tokenizer.texts.get(id), names[tags[at]]]] : []));
    }
    const found = await this.generate(ids, this.renderer.longest_answer, (some) => onText(this.tokenizer.decode(some), some.length));
    return this.parse(this.tokenizer.decode(found));
  }

  answer(given) { return this.stream(given, () => {}); }

  async check(golden) { // sentences on every golden vector that is missed
    const same = (one, other) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)), missed = [];
    for (const { text, ids } of golden.texts) if (!same(this.tokenizer.encode(text), ids)) missed.push(`the text ${JSON.stringify(text)} has other ids`);
    for (const item of golden.vectors) {
      const ids = this.promptIds(item.given), miss = (what) => missed.push(`row ${item.row}: ${what}`);
      if (!same(ids, item.prompt_ids)) miss("the prompt has other ids");
      else if (item.shares) {
        const shares = await this.shares(ids);
        if (!shares.every((one, at) => Math.abs(one - item.shares[at]) <= golden.share_tolerance)) miss("other probabilities");
        else if (item.clear && !same(this.chosen(shares), item.value)) miss("another label");
      } else if (item.tags) {
        const tags = await this.tags(ids);
        if (!same(item.at.map((at) => tags[at]), item.tags)) miss("other tags");
      } else if (item.ids) {
        const found = await this.generate(ids, golden.max_new_tokens), ours = [...found, golden.end_id].slice(0, item.sure);
        if (!same(ours, item.ids.slice(0, item.sure))) miss(`the answer begins ${ours}, golden ${item.ids}`);
        else if (item.sure === item.ids.length && !same(this.parse(this.tokenizer.decode(found)), item.value)) miss("another value");
      }
    }
    return missed;
  }
}

const sorted = (value) => {
  if (!value || typeof value !== "object" || Array.isArray(value)) return Array.isArray(value) ? value.map(sorted) : value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
};

/** model.onnx with its cache of keys and values, or an encoder. */
export class OnnxRuntime {
  static async open(ort, bytes, hone) {
    return Object.assign(new OnnxRuntime(), { ort, hone, session: await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 }) });
  }

  empty() {
    const { heads, width } = this.hone.cache ?? {}, names = this.session.inputNames.filter((name) => name.startsWith("past"));
    return Object.fromEntries(names.map((name) => [name, new this.ort.Tensor("float32", new Float32Array(0), [1, heads, 0, width])]));
  }

  async run(ids, past, seen) {
    const whole = (values) => new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const feeds = { input_ids: whole(ids), attention_mask: whole(Array(seen + ids.length).fill(1)), token_type_ids: whole(ids.map(() => 0)), ...past };
    return this.session.run(Object.fromEntries(this.session.inputNames.filter((name) => name in feeds).map((name) => [name, feeds[name]])));
  }

  async *next(ids, limit) { // greedy ids, one at a time
    let past = this.empty(), seen = 0, given = ids;
    for (let count = 0; count < limit; count++) {
      const made = await this.run(given, past, seen);
      past = Object.fromEntries(Object.keys(past).map((name) => [name, made[name.replace("past_key_values", "present")]]));
      seen += given.length;
      const row = made.logits.data.subarray(-made.logits.dims[2]);
      given = [row.reduce((best, one, at) => (one > row[best] ? at : best), 0)];
      yield given[0];
    }
  }

  async labelLogits(ids) {
    const { logits } = await this.run(ids, this.empty(), 0), width = logits.dims.at(-1);
    return this.hone.ids.labels ? this.hone.ids.labels.map((id) => logits.data.at(id - width)) : logits.data;
  }
}

/** model.gguf behind llama.cpp's own server. */
export class LlamaServer {
  constructor(address, hone) { Object.assign(this, { address, hone }); }

  async ask(prompt, more) {
    const body = JSON.stringify({ prompt, temperature: 0, cache_prompt: false, return_tokens: true, ...more });
    const answer = await fetch(`${this.address}/completion`, { method: "POST", body, headers: { "Content-Type": "application/json" } }).catch((error) => {
      throw new Refused(`no llama.cpp server answers at ${this.address} (${error.cause?.code ?? error.message}); start one with: llama-server -m model.gguf, and give its address after the prompt`);
    });
    if (!answer.ok) throw new Refused(`the server at ${this.address} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    return answer.json();
  }

  async *next(ids, limit) { yield* (await this.ask(ids, { n_predict: limit })).tokens; }

  async labelLogits(ids) {
    // The bias makes it choose a label, whose text is whole (else it withholds the figures); the figures are without it.
    const asked = { n_predict: 1, n_probs: this.hone.vocab_size, logit_bias: this.hone.ids.labels.map((id) => [id, 1000]) };
    const first = (await this.ask(ids, asked)).completion_probabilities[0];
    const byId = new Map(first.top_logprobs.map((one) => [one.id, one.logprob]));
    return this.hone.ids.labels.map((id) => byId.get(id));
  }
}

const AGAIN = "copy the whole folder again";
const parsed = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** What hone.json says: `files` is the SHA-256 of each file, the model's included. */
export function described(bytes) {
  let hone;
  try {
    hone = parsed(bytes);
    hone.files = { ...Object.fromEntries(Object.entries(hone.files)), [`model.${hone.runtime}`]: hone.hashes.model };
  } catch (error) { throw new Refused(`hone.json is not whole (${error.message}); ${AGAIN}`); }
  if (hone.format !== 1) throw new Refused(`hone.json has format ${hone.format}; this runner reads 1`);
  return hone;
}

const changed = (name, found, expected) => (found === expected ? [] : [`${name} has SHA-256 ${found.slice(0, 12)}, and it was made with ${expected?.slice(0, 12)}`]);

/** SHA-256 as hex; browsers give it over https and on localhost alone, undefined elsewhere. */
export async function sha256(bytes) {
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", bytes);
  return digest && Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Open the artifact: `read(name)` gives a file's bytes, `ort` is ONNX Runtime, `server` the address of llama.cpp's;
 *  `hash(bytes)` is what the bytes of a file are compared by, where it gives something. */
export async function open({ read, ort, server, hash = sha256 }) {
  const hone = described(await read("hone.json"));
  const whole = async (name) => {
    const bytes = await read(name), found = await hash(bytes);
    const [wrong] = found ? changed(name, found, hone.files[name]) : [];
    if (wrong) throw new Refused(`${wrong}; ${AGAIN}`);
    return bytes;
  };
  const tokenizer = new Tokenizer(parsed(await whole("tokenizer.json")));
  const runtime = hone.runtime === "onnx" ? await OnnxRuntime.open(await ort(), await whole("model.onnx"), hone) : new LlamaServer(server, hone);
  return new Model(hone, tokenizer, runtime);
}

/** ONNX Runtime from the packages beside this file, else from those of the working folder. */
async function runtimeOfNode() {
  const { createRequire } = await import("node:module"), failed = [];
  process.env.ORT_DISABLE_TELEMETRY ??= "1"; // as in run.py: before the import
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    for (const place of [import.meta.url, `${process.cwd()}/run.mjs`]) {
      const require = createRequire(place);
      try { require.resolve(name); } catch { continue; } // not there
      try { return require(name); } catch (error) { failed.push(`${name} is there and does not load: ${error.message.split("\n")[0]}`); }
    }
  }
  throw new Refused(`${[...new Set(failed)].join("; ") || "neither onnxruntime-node nor onnxruntime-web is beside run.mjs or in the working folder"}; install one in either: npm install onnxruntime-node`);
}

/** Compares every file beside this one with its SHA-256 in hone.json, in parts: a model may be larger than a buffer. */
async function wholeFolder(read) {
  const [{ createReadStream }, { createHash }] = await Promise.all([import("node:fs"), import("node:crypto")]), wrong = [];
  const hone = described(await read("hone.json"));
  for (const [name, expected] of Object.entries(hone.files)) {
    const found = createHash("sha256");
    try {
      for await (const part of createReadStream(new URL(name, import.meta.url))) found.update(part);
      wrong.push(...changed(name, found.digest("hex"), expected));
    } catch (error) { wrong.push(`${name} cannot be read (${error.code})`); }
  }
  if (wrong.length) throw new Refused(`${wrong.join("; ")}; ${AGAIN}, or export it again`);
  return hone;
}

async function main([given, server = "http://127.0.0.1:8080", ...more]) {
  if (given === "-h" || given === "--help") return console.log(USAGE);
  if (given === undefined || more.length) throw new Refused(`one prompt is needed\n${USAGE}`, 2);
  const { readFile } = await import("node:fs/promises");
  const read = async (name) => new Uint8Array(await readFile(new URL(name, import.meta.url)).catch((error) => {
    throw new Refused(`${name} cannot be read (${error.code}); ${AGAIN}`);
  }));
  const { kind } = await wholeFolder(read);
  let asked = given;
  if (/^[{[]/.test(given) && kind !== "language-model") try { asked = JSON.parse(given); } catch (error) { throw new Refused(`the prompt is no JSON: ${error.message}`, 2); }
  const model = await open({ read, ort: runtimeOfNode, server, hash: () => undefined }); // compared above
  if (given !== "--check") return console.log(JSON.stringify(await model.answer(asked)));
  const golden = JSON.parse(new TextDecoder().decode(await read("golden.json"))), missed = await model.check(golden);
  console.log([...missed, `${missed.length} of ${golden.vectors.length} golden vectors and ${golden.texts.length} texts missed`].join("\n"));
  process.exitCode = missed.length ? 1 : 0;
}

if (typeof process !== "undefined" && process.argv?.[1] && import.meta.url.endsWith("run.mjs") && process.argv[1].endsWith("run.mjs")) {
  await main(process.argv.slice(2)).catch((problem) => {
    if (!(problem instanceof Refused)) throw problem;
    console.error(`run.mjs: ${problem.message}`);
    process.exitCode = problem.status;
  });
}
