// BERT's WordPiece.
const READ = ["BertPreTokenizer", "BertNormalizer"];
const COMMON = "\\u4e00-\\u9fff\\u3400-\\u4dbf\\uf900-\\ufaff\\u{20000}-\\u{2a6df}\\u{2a700}-\\u{2b73f}";
const CHINESE = new RegExp(`[${COMMON}\\u{2b740}-\\u{2b81f}\\u{2b920}-\\u{2ceaf}\\u{2f800}-\\u{2fa1f}]`, "gu");
const DROPPED = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu;

export class Tokenizer {
  plainIds(text) {
    return this.words(text).flatMap((word) => this.pieces(word));
  }

  /** BERT's normalizer and pre-tokenizer. */
  words(text) {
    const { lowercase, strip_accents: bare, clean_text: clean, handle_chinese_chars: spaced } = this.normalizer ?? {};
    if (clean) text = text.replace(DROPPED, "").replace(/\p{White_Space}/gu, " ");
    if (spaced) text = text.replace(CHINESE, " $& ");
    if (bare ?? lowercase) text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
    if (lowercase) text = [...text].map((one) => one.toLowerCase()).join("");
    return text.match(/[!-/:-@[-`{-~]|\p{P}|[^\p{White_Space}\p{P}!-/:-@[-`{-~]+/gu) ?? [];
  }

  /** The longest beginning of a word that is known, then the longest of the rest. */
  pieces(word) {
    const letters = [...word], unknown = [this.vocab.get(this.model.unk_token)], ids = [];
    if (letters.length > this.model.max_input_chars_per_word) return unknown;
    for (let start = 0, end; start < letters.length; start = end) {
      const piece = (to) => (start ? this.model.continuing_subword_prefix : "") + letters.slice(start, to).join("");
      for (end = letters.length; end > start && !this.vocab.has(piece(end)); end--);
      if (end === start) return unknown;
      ids.push(this.vocab.get(piece(end)));
    }
    return ids;
  }
}
