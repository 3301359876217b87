"""Languages as the model's own package names them; scripts as the package regex knows them; words that mix two."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from hone.data.kernels.scripts import NAMES
from hone.data.signals.language import Language, identify
from hone.data.signals.script import Script, scripts_of
from hone.errors import InputError

Rows = Callable[..., pa.RecordBatch]

# Made up for this test, two sentences each.
SENTENCES = {
    "en": "The old ferry crosses the river twice a day, even when it rains. Nobody remembers who built the pier.",
    "de": "Die alte Fähre überquert den Fluss zweimal am Tag, auch bei Regen. Niemand weiß, wer den Steg gebaut hat.",
    "fr": "Le vieux bac traverse la rivière deux fois par jour, même quand il pleut. Personne ne sait qui l'a bâti.",
    "es": "La vieja barca cruza el río dos veces al día, incluso cuando llueve. Nadie recuerda quién la construyó.",
    "it": "Il vecchio traghetto attraversa il fiume due volte al giorno, anche quando piove. Nessuno lo ricorda più.",
    "pt": "A velha balsa atravessa o rio duas vezes por dia, mesmo quando chove. Ninguém se lembra do construtor.",
    "pl": "Stary prom przepływa rzekę dwa razy dziennie, nawet gdy pada. Nikt nie pamięta, kto zbudował pomost.",
    "ru": "Старый паром пересекает реку дважды в день, даже когда идёт дождь. Никто не помнит имени мастера.",
    "zh": "旧渡船每天两次过河、下雨的时候也是如此。谁都不记得那座木码头是谁建造的。",
    "hi": "पुरानी नाव दिन में दो बार नदी पार करती है, बारिश में भी। किसी को याद नहीं कि घाट किसने बनाया था।",
    "ar": "تعبر العبارة القديمة النهر مرتين في اليوم حتى عندما تمطر. لا أحد يتذكر من بنى الرصيف الخشبي.",
}


def test_made_up_sentences_of_eleven_languages(rows: Rows) -> None:
    found = Language().columns(rows(list(SENTENCES.values()))).to_pylist()
    assert [row["language.code"] for row in found] == list(SENTENCES)
    assert all(0.9 < row["language.probability"] <= 1 for row in found)


def test_equal_to_the_package_byte_for_byte() -> None:
    reference = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    draw = random.Random(3)
    whole = " ".join(SENTENCES.values())
    texts = ["", "a", "ZÜRICH IST GROSS", "cafe\u0301", "\u0000\u0001", *SENTENCES.values()]
    for _ in range(300):
        begin = draw.randrange(len(whole))
        texts.append(whole[begin : begin + draw.randint(1, 120)])
    codes, probabilities = identify(texts)
    expected = [reference.classify(text) for text in texts]
    # Where two languages are equally likely (no feature was seen) either may be named.
    assert probabilities.tolist() == pytest.approx([probability for _, probability in expected], abs=1e-4)
    sure = [at for at, (_, probability) in enumerate(expected) if probability > 0.1]
    assert len(sure) > 200
    assert [codes[at] for at in sure] == [expected[at][0] for at in sure]


def test_the_others_in_a_batch_change_nothing(rows: Rows) -> None:
    texts = list(SENTENCES.values())
    alone = [Language().columns(rows([text])).to_pylist()[0] for text in texts]
    together = Language().columns(rows(texts * 60)).to_pylist()
    assert [row["language.code"] for row in together] == [row["language.code"] for row in alone] * 60
    assert [row["language.probability"] for row in together[: len(texts)]] == pytest.approx(
        [row["language.probability"] for row in alone], abs=1e-5
    )


def test_short_texts_and_texts_without_letters_are_not_guessed(rows: Rows) -> None:
    texts = ["play some jazz", "", "12345 67890 " * 20, "x" * 39, "Play some jazz from the nineties in the living room"]
    found = Language().columns(rows(texts)).to_pylist()
    assert [row["language.code"] for row in found] == [None, None, None, None, "en"]
    assert [row["language.probability"] is None for row in found] == [True, True, True, True, False]
    # A Han sign is three bytes of letters: fourteen are 42.
    assert Language().columns(rows(["旧渡船每天两次过河下雨的时候"])).to_pylist()[0]["language.code"] == "zh"


def test_only_the_beginning_is_read(rows: Rows) -> None:
    text = SENTENCES["fr"] * 8 + SENTENCES["ru"] * 50
    assert Language(max_bytes=512).columns(rows([text])).to_pylist()[0]["language.code"] == "fr"
    assert Language(max_bytes=512).params["max_bytes"] == 512
    assert str(Language().params["model"]).startswith("py3langid ")
    with pytest.raises(InputError, match="max_bytes must be 16 or more"):
        Language(max_bytes=4)


def test_scripts_are_those_of_unicode() -> None:
    draw = random.Random(5)
    sample = [code for code in draw.sample(range(0x30000), 12_000) if regex.match(r"\p{L}", chr(code))]
    found = scripts_of(np.array(sample, np.uint32))
    for code, script in zip(sample, found.tolist(), strict=True):
        if regex.match(r"[\p{Script=Common}\p{Script=Inherited}]", chr(code)):
            assert script == 255, hex(code)
        elif NAMES[script] != "Other":
            assert regex.match(rf"\p{{Script={NAMES[script].replace(' ', '_')}}}", chr(code)), hex(code)
        else:
            known = "".join(rf"\p{{Script={name.replace(' ', '_')}}}" for name in NAMES[:-1])
            assert not regex.match(f"[{known}]", chr(code)), hex(code)


@pytest.mark.parametrize(
    ("text", "main", "share"),
    [
        ("plain words", "Latin", 1.0),
        ("Привет мир abc", "Cyrillic", 9 / 12),
        ("东京 abc!", "Latin", 3 / 5),
        ("हिन्दी", "Devanagari", 1.0),
        ("مرحبا 12", "Arabic", 1.0),
        ("𠀀𠀁𠀂 a", "Han", 3 / 4),
        ("12 + 34 = 46", None, None),
        ("", None, None),
    ],
)
def test_main_script_and_its_share(rows: Rows, text: str, main: str | None, share: float | None) -> None:
    (found,) = Script().columns(rows([text])).to_pylist()
    assert found["script.main"] == main
    assert found["script.share"] == (None if share is None else pytest.approx(share))
    assert found["script.mixed"] == 0


def test_words_that_mix_scripts(rows: Rows) -> None:
    texts = [
        "p\u0430ypal log\u0456n",  # Cyrillic a and i among Latin letters
        "\u041c\u0438\u0440 and peace, \u0440\u0443\u0441-english",  # whole words of either script
        "10 k\u03a9 and 5 \u03bcm of \u0394x",  # Greek in units and formulas
        "g\u03bfogle",  # a Greek omicron
    ]
    found = Script().columns(rows(texts)).to_pylist()
    assert [row["script.mixed"] for row in found] == [2, 0, 0, 1]


def test_signals_go_to_other_processes() -> None:
    for signal in (Language(max_bytes=300), Script()):
        assert pickle.loads(pickle.dumps(signal)) == signal
