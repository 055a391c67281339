"""Estimate how many tokens a text has at most, without the model's tokenizer: not every server offers one.

Byte-level BPE, as Llama, Qwen and Mistral use it, first cuts a text into words, numbers, punctuation and white space,
and never merges across a cut. So each class of characters can be bounded by itself:

- a digit is one token: the older tokenizers split every digit, the newer ones take up to three together;
- a punctuation character is one token; common pairs are merged in practice, rare ones are not;
- three small letters are one token: English averages four to six a token with 32,000 entries and more. A capital goes
  with the small letters behind it, two capitals side by side are one token;
- a space before a letter belongs to its word; before anything else it is a token of its own;
- a newline is one token, and so are up to four other white space characters side by side;
- a character beyond ASCII is as many tokens as it has bytes in UTF-8: no tokenizer of this kind can need more.

Letters in an order that no language uses (a hash, a list of acronyms) can be one token each: such text is
underestimated. In a prompt only quotes from records can hold such text, and they are short.
"""

from __future__ import annotations

import re

# Each match is one token, so that counting is one pass in C.
_TOKEN = re.compile(r" ?(?:[A-Z]?[a-z]{1,3}|[A-Z]{1,2})|\n|[^\S\n]{1,4}|[^\sA-Za-z]")


def estimate_tokens(text: str) -> int:
    """Tokens of ``text``, rather too many than too few (see above), without those of a chat template."""
    extra_bytes = 0 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) - len(text)
    return len(_TOKEN.findall(text)) + extra_bytes
