"""Texts on which tokenizers are known to part: other scripts, odd spaces, and text that looks like special tokens."""

from __future__ import annotations

AWKWARD_TEXTS = (
    "",
    " ",
    "plain words",
    " leading space",
    "   three leading spaces",
    "trailing space ",
    "two  spaces   and\ttab",
    "line\nbreak\n\nblank line\r\nand carriage return",
    "it's we're I'VE they'll he'd 'tis rock'n'roll",
    "1 22 333 4444 3.14 1,000,000 0x1F 50% $9.99",
    "snake_case camelCase kebab-case",
    'a "quoted" {"intent":"play","n":3} [list] <tag/>',
    "<|end|>",
    " <|end|> ",
    "play<|answer|>{}<|end|><|begin|>",
    "<|pad|><|label:yes|> <|endoftext|> <s></s> [INST]",
    "caf\u00e9 na\u00efve \u00fcber stra\u00dfe \u0130stanbul",
    "cafe\u0301 decomposed a\u030a",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u05e9\u05dc\u05d5\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u0663\u0664\u0665 \u2167 \u00bd x\u00b2 \u2460",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \u2764\ufe0f",
    "non\u00a0breaking \u2003em space \u200bzero width \ufeffmark",
    "\u2018single\u2019 \u201cdouble\u201d \u2014 dash \u2026",
    "\u2028line separator \x0b\x0c\x1f control \x00 nul \x7f",
    "\U0001d54f\U0001d557 \U00020000 \U0010ffff",
)
