"""tokenizer.json of the `tokenizers` library, which gives the ids of a `BertTokenizer`.

The library's own BERT normalizer goes by other Unicode tables and drops private and unassigned
characters. So the file spells out what the tokenizer does with each character, asked one by one.
"""

import functools
import itertools
import pathlib
import random
import unicodedata

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.packages import require
from bert_tf.tokenization import vocab as vocab_lib

TOKENIZER_FILE = "tokenizer.json"
MAX_WORD_CHARACTERS = 200
"""Longer words are [UNK], as a `BertTokenizer` has it."""

# All planes of Unicode that have characters; what is elsewhere is a letter to every tokenizer.
_PLANES = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))
_BATCH = 1 << 15
_NO_LIMIT = 1 << 31
_EXAMPLES = 5
# A sigma at the end of a word: behind a letter with case, before none. Marks and such do not count.
_IGNORED = r"\p{Case_Ignorable}"
_CASED = rf"[\p{{Cased}}&&[^{_IGNORED}]]"
_FINAL_SIGMA = rf"{_CASED}{_IGNORED}*\KΣ(?!{_IGNORED}*{_CASED})"
_DECOMPOSED_LATE = "\U00011938", "\U00011935\U00011930"  # by Unicode 13, which NFD here is not


def write_checked(folder, tokenizer, texts=()):
    """Writes tokenizer.json and compares it with the tokenizer that it stands for.

    Args:
      folder: where to.
      tokenizer: `BertTokenizer`.
      texts: list of str, the rows that the model was measured on.

    Returns:
      {"checked": {name: what `differences` found}} of `rows`, if there are any, and of `fuzz`,
      texts made to be difficult.

    Raises:
      UserError: the package `tokenizers` is not installed, the file cannot be written, or a text of
        `texts` has other ids by it.
    """
    path = pathlib.Path(folder) / TOKENIZER_FILE
    write(tokenizer, path)
    checked = {}
    if texts:
        checked["rows"] = differences(path, tokenizer, texts)
        _require_none(checked["rows"])
    fuzz = fuzz_texts(tokenizer.vocab.tokens)
    checked["fuzz"] = differences(path, tokenizer, fuzz)
    return {"checked": checked}


def write(tokenizer, path):
    """Writes `path`, a tokenizer.json that gives the ids of a `BertTokenizer`.

    Special tokens in a text are not protected, single texts become [CLS] a [SEP], pairs [CLS] a
    [SEP] b [SEP] with types 0 and 1, and nothing is cut or padded.

    Raises:
      UserError: the package `tokenizers` is not installed, or the file cannot be written.
    """
    files.write_text(path, build(tokenizer).to_str())


def build(tokenizer):
    """Returns the `tokenizers.Tokenizer` that gives the ids of a `BertTokenizer`."""
    require("tokenizers", f"{TOKENIZER_FILE}, part of an export,")
    import tokenizers

    vocab = tokenizer.vocab
    fast = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocab=_vocabulary(vocab),
            unk_token=vocab_lib.UNK,
            max_input_chars_per_word=MAX_WORD_CHARACTERS,
        )
    )
    kinds = _kinds(tokenizer)
    fast.normalizer = _normalizer(tokenizer, kinds)
    alone, spaces = (_ranges(kinds[kind]) for kind in ("alone", "space"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(f"[{alone}]|[^{alone}{spaces}]+"), "removed", invert=True
    )
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(vocab_lib.CLS, vocab.cls_id), (vocab_lib.SEP, vocab.sep_id)],
    )
    fast.decoder = tokenizers.decoders.WordPiece()
    return fast


def _vocabulary(vocab):
    """{token: id}, every id once: a line whose token stands again below is as no word can be."""
    unused = (i for i, token in enumerate(vocab.tokens) if vocab.ids[token] != i)
    return {f"[line {i + 1}]": i for i in unused} | vocab.ids


def _normalizer(tokenizer, kinds):
    from tokenizers import Regex, normalizers

    steps = [normalizers.Replace(Regex(f"[{_ranges(kinds['dropped'])}]"), "")]
    if tokenizer.do_lower_case:  # character by character, which makes every sigma a medial one
        steps += [normalizers.Replace(Regex(_FINAL_SIGMA), "ς"), normalizers.Lowercase()]
    if tokenizer.strip_accents:
        marks = normalizers.Replace(Regex(f"[{_ranges(kinds['mark'])}]"), "")
        steps += [normalizers.NFD(), normalizers.Replace(*_DECOMPOSED_LATE), marks]
    return normalizers.Sequence(steps)


def _kinds(tokenizer):
    """{kind: code points} of what the tokenizer makes of a character between two letters.

    `space` parts words, `dropped` is gone, `alone` is a word of its own, and `mark` is gone where
    accents are.
    """
    kept = _probe(do_lower_case=False, tokenize_chinese_chars=tokenizer.tokenize_chinese_chars)
    found = {kind: [] for kind in ("space", "dropped", "alone", "mark")}
    for code, kind in kept.items():
        found[kind].append(code)
    if tokenizer.strip_accents:
        stripped = _probe(do_lower_case=False, strip_accents=True)
        found["mark"] = [c for c, kind in stripped.items() if kind == "dropped" != kept.get(c)]
    return found


@functools.cache  # the formats of one export ask the same
def _probe(**settings):
    """{code point: kind} of the characters that are not just letters to a tokenizer."""
    from bert_tf.tokenization.tokenizer import BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b"]
    vocab = vocab_lib.Vocab("letters", tokens, {token: i for i, token in enumerate(tokens)})
    unknown, a, b, inner_b = (vocab.ids[x] for x in ("[UNK]", "a", "b", "##b"))
    kinds = {(a, b): "space", (a, inner_b): "dropped", (a, unknown, b): "alone"}
    tokenizer = BertTokenizer(vocab, **settings)
    codes = [code for plane in _PLANES for code in plane]
    found = {}
    for start in range(0, len(codes), _BATCH):
        batch = codes[start : start + _BATCH]
        rows = tokenizer.tokenize([f"a{chr(code)}b" for code in batch]).to_list()
        pairs = zip(batch, map(tuple, rows), strict=True)
        found |= {code: kinds[row] for code, row in pairs if row in kinds}
    return found


def _ranges(codes):
    r"""The inside of a character class: "\x{41}-\x{5A}" for 65 to 90."""
    bounds = []
    for code in codes:
        if bounds and bounds[-1][1] == code - 1:
            bounds[-1][1] = code
        else:
            bounds.append([code, code])
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in bounds)


def differences(path, tokenizer, texts):
    """Compares what a tokenizer.json and a `BertTokenizer` make of texts, id for id.

    Args:
      path: tokenizer.json.
      tokenizer: `BertTokenizer`.
      texts: list of str.

    Returns:
      {"texts": how many, "different": how many of them have other ids, "characters": those of the
      different texts that make a difference by themselves ("U+10570"), "examples": the smallest
      parts of some different texts that still differ}.
    """
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(path))

    def different(texts):
        ids, offsets, _ = tokenizer.encode_flat(texts, max_seq_length=_NO_LIMIT)
        ours = (ids[start:stop].tolist() for start, stop in itertools.pairwise(offsets))
        theirs = (found.ids for found in fast.encode_batch_fast(texts))
        return [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b]

    found = different(texts) if texts else []
    characters = sorted(set().union(*found))
    inside = {char: f"a{char}b" for char in characters}
    alone = set(different([*inside, *inside.values()])) if found else set()
    return {
        "texts": len(texts),
        "different": len(found),
        "characters": [
            f"U+{ord(char):04X}" for char, text in inside.items() if {char, text} & alone
        ],
        "examples": [_smallest(text, lambda x: bool(different([x]))) for text in found[:_EXAMPLES]],
    }


def fuzz_texts(tokens, count=2000, seed=0):
    """Returns texts that are hard to cut into words: every character between words, and mixtures.

    Args:
      tokens: of the vocabulary, list of str.
      count: of the mixtures of words, characters, spaces and words near the longest.
      seed: of what is drawn.
    """
    rng = random.Random(seed)
    words = [token.removeprefix("##") for token in tokens if token.isalpha()] or ["a"]
    assigned = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs")]
    characters = [c for c in assigned if unicodedata.category(c) != "Co"] + assigned[-1:]
    between = [f"{rng.choice(words)}{c}{rng.choice(words)}" for c in characters]
    texts = [" ".join(between[i : i + 50]) for i in range(0, len(between), 50)]
    greek = [chr(code) for code in range(0x370, 0x400)] + ["Σ"] * 40
    kinds = (words, characters, greek, list(" \t\n\r\0\u200d\u2028\u3000\ufeff\ufffd'’.,-"))
    for _ in range(count):
        parts = [rng.choice(rng.choice(kinds)) for _ in range(rng.randint(0, 30))]
        if rng.random() < 0.1:
            parts.append(rng.choice(characters) * rng.randint(195, 205))
        texts.append("".join(parts))
    return texts


def _smallest(text, differs):
    """What is left of a text when all is dropped without which `differs` still holds."""
    size = len(text) // 2 or 1
    while size:
        before, start = text, 0
        while start < len(text):
            shorter = text[:start] + text[start + size :]
            if differs(shorter):
                text = shorter
            else:
                start += size
        if text == before:
            size //= 2
    return text


def _require_none(found):
    if found["different"]:
        raise UserError(
            f"{TOKENIZER_FILE} would give {found['different']} of {found['texts']} rows other ids"
            f" than the model's tokenizer, such as {found['examples'][0]!r} (characters:"
            f" {', '.join(found['characters']) or 'none alone'}): remove them from the rows, or"
            " export without --data_dir where such texts never occur"
        )
