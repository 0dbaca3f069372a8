"""The tokenizer: a word that it knows is one token, every other is spelled.

It is a byte-level BPE vocabulary without merges, used with llama.cpp's
pre-tokenizer `llama-bpe`, which looks a whole word up before it merges.  Text
is cut into words by the pre-tokenizer's pattern; a word in the vocabulary is
one token, any other word becomes one token per UTF-8 byte.  So questions about
inferd are short, while the words that a user wants rewritten or copied arrive
as letters, which is what makes copying and upper-casing learnable for a model
this small.  Digits are always single tokens.

ids:   0 .. 4     special tokens
       5 .. 260   the 256 bytes, in the spelling of GPT-2's byte alphabet
     261 ..       words
"""

import collections
import json
import re
import sys
import unicodedata

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
END_OF_TEXT, IM_START, IM_END = 0, 1, 2
CONTROL = 3                             # the first so many specials are invisible in text
FIRST_BYTE = len(SPECIALS)
MAX_TOKENS = 2048


def _char_class(first_letter):
    """The characters of one Unicode category, as the inside of a [class]."""
    out, start = [], None
    for code in range(sys.maxunicode + 2):
        member = code <= sys.maxunicode and unicodedata.category(chr(code))[0] == first_letter
        if member and start is None:
            start = code
        elif not member and start is not None:
            out.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(out)


_L, _N = _char_class("L"), _char_class("N")
_S = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORD = re.compile(
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
    rf"|[^\r\n{_L}{_N}]?[{_L}]+|[{_N}]{{1,3}}| ?[^{_S}{_L}{_N}]+[\r\n]*"
    rf"|[{_S}]*[\r\n]+|[{_S}]+(?![^{_S}])|[{_S}]+")
_SPECIAL = re.compile("(" + "|".join(re.escape(s) for s in SPECIALS) + ")")


def _byte_alphabet():
    """GPT-2's printable stand-in for every byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in keep}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(keep))
    return table


BYTE_CHAR = _byte_alphabet()
CHAR_BYTE = {c: b for b, c in BYTE_CHAR.items()}


def words_of(text):
    """The text cut into the pre-tokenizer's words."""
    return _WORD.findall(text)


class Tokenizer:
    def __init__(self, words):
        self.words = list(words)
        self.tokens = SPECIALS + [BYTE_CHAR[b] for b in range(256)] \
            + ["".join(BYTE_CHAR[b] for b in w.encode()) for w in self.words]
        self.special = {s: i for i, s in enumerate(SPECIALS)}
        self.word_id = {w: FIRST_BYTE + 256 + i for i, w in enumerate(self.words)}
        self.bytes_of = [s.encode() for s in SPECIALS] \
            + [bytes([b]) for b in range(256)] + [w.encode() for w in self.words]
        self.cache = {}

    def encode(self, text):
        ids = []
        for part in _SPECIAL.split(text):
            if part in self.special:
                ids.append(self.special[part])
            else:
                for word in words_of(part):
                    ids.extend(self._encode_word(word))
        return ids

    def _encode_word(self, word):
        ids = self.cache.get(word)
        if ids is None:
            known = self.word_id.get(word)
            ids = [known] if known else [FIRST_BYTE + b for b in word.encode()]
            self.cache[word] = ids
        return ids

    def decode(self, ids):
        return b"".join(self.bytes_of[i] for i in ids).decode(errors="replace")

    def save(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.words, out, ensure_ascii=False, indent=0)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            return cls(json.load(f))

    @classmethod
    def of_tokens(cls, tokens):
        """From a vocabulary as a GGUF file spells it."""
        return cls(bytes(CHAR_BYTE[c] for c in token).decode() for token in tokens[FIRST_BYTE + 256:])


def train(texts, always, never):
    """The most frequent words of the texts, most frequent first, after `always`.

    Single bytes are tokens anyway; a word with a digit stays spelled, and so do those in
    `never`, however they are written: what is copied letter by letter is copied alike.
    """
    counts = collections.Counter(w for text in texts for w in words_of(text))
    chosen = dict.fromkeys(always)
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(chosen) == MAX_TOKENS - FIRST_BYTE - 256:
            break
        spelled = any(c.isdigit() for c in word) or re.sub(r"[^a-z]", "", word.lower()) in never
        if count >= 3 and len(word.encode()) > 1 and not spelled:
            chosen.setdefault(word)
    return Tokenizer(chosen)
