"""Asks this folder's model.RUNTIME, with nothing of what trained it.

Python 3.11 or newer: pip install PACKAGES
python run.py "a prompt"     python run.py '{"column": "value"}'     python run.py --check
--check asks every prompt of golden.json. Every file is compared with its SHA-256 in hone.json before anything runs.
exit status: 0 done, 1 golden vectors missed, 2 wrong input, 3 a file has changed or is missing, or a package is
"""

from __future__ import annotations

import contextlib
import json
import sys

from check import HERE, missed, stop, unchanged


class Model:
    """The model of this folder; `hone` is what hone.json says. It answers once it is loaded."""

    def __init__(self, hone):
        from tokenizers import Tokenizer

        self.hone, self.tokenizer = hone, Tokenizer.from_file(str(HERE / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # text that looks like a special token stays text
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, text):
        """Ids of plain text."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    # The methods of this model's kind and runtime stand here.


def main(asked):
    """Print the answer to a prompt, or what `--check` finds; the exit status."""
    model = Model(unchanged())
    if asked == "--check":
        model.load()
        return missed(model)
    given = asked
    if asked[:1] in ("{", "[") and model.hone["kind"] != "language-model":
        with contextlib.suppress(ValueError):  # a text may begin with a bracket
            given = json.loads(asked)
    ids = model.prompt_ids(given)
    model.load()  # after the prompt was found to be one
    answer = model.answer(ids)
    print(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        stop(f"one prompt is needed\n{__doc__.strip()}", 2)
    if sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0)
    try:
        sys.exit(main(sys.argv[1]))
    except ImportError as error:
        stop(f"{error}; install what this needs: pip install PACKAGES")
    except KeyboardInterrupt:
        sys.exit(130)
