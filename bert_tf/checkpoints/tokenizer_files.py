"""What a Hugging Face folder says of its tokenizer: what ours can do, too, and what it cannot."""

import pathlib

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.tokenization.vocab import CLS, MASK, PAD, SEP, UNK

CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
FILES = (CONFIG_FILE, TOKENIZER_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE)

SETTINGS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
"""What a folder may say, and a `BertTokenizer` does; kept in `BertConfig.extra`."""

_SPECIALS = {
    "unk_token": UNK,
    "cls_token": CLS,
    "sep_token": SEP,
    "pad_token": PAD,
    "mask_token": MASK,
}
# Classes of other models whose tokenizer is BERT's, and those that say nothing.
_CLASSES = (
    *(f"{m}Tokenizer{f}" for m in ("Bert", "DistilBert", "Electra") for f in ("", "Fast")),
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
)
# Values other than null that a setting may have: all others give a text other ids.
_FIXED = {
    "do_basic_tokenize": (True,),
    "do_split_on_punc": (True,),
    "clean_text": (True,),
    "never_split": ([],),
    "wordpieces_prefix": ("##",),
    "tokenizer_class": _CLASSES,
}
_FIXED_MODEL = {
    "unk_token": (UNK,),
    "continuing_subword_prefix": ("##",),
    "max_input_chars_per_word": (100, 200),
}


def read_settings(folder):
    """Reads what tokenizer_config.json, tokenizer.json and the files of tokens in a folder say.

    Args:
      folder: Hugging Face's; the files may be missing, all of them.

    Returns:
      {name of SETTINGS: bool}, without those that are null or as `BertTokenizer` has them anyway.

    Raises:
      UserError: a file is damaged, the two files of settings contradict each other, or a setting or
        token is none that a `BertTokenizer` has; the message names it.
    """
    folder = pathlib.Path(folder)
    paths = [folder / name for name in (CONFIG_FILE, TOKENIZER_FILE)]
    config, tokenizer = (_read(path) for path in paths)
    _check_fixed(paths[0], config, _FIXED)
    first = _flags(paths[0], config, "tokenize_chinese_chars", "do_lower_case")
    second = _read_fast(paths[1], tokenizer, folder / "vocab.txt")
    settings = {**second, **first}
    for name in SETTINGS:
        found = [_effect(name, flags, settings) for flags in (first, second) if name in flags]
        if len(set(found)) > 1:
            raise UserError(
                f"{paths[0]}: {name} is {found[0]}, but {TOKENIZER_FILE} beside it says {found[1]}:"
                " make them agree on what the model was trained with"
            )
    _check_tokens(folder, config, tokenizer)
    return without_defaults(settings)


def without_defaults(settings):
    """Returns those of {setting: bool or None} that say more than nothing."""
    default = with_defaults({"do_lower_case": settings.get("do_lower_case")})
    default["do_lower_case"] = None
    return {n: value for n, value in settings.items() if value not in (None, default[n])}


def with_defaults(settings):
    """Returns all of SETTINGS, those that {setting: bool or None} says nothing of as they are."""
    lower = settings.get("do_lower_case")
    default = {"do_lower_case": None, "strip_accents": lower, "tokenize_chinese_chars": True}
    said = {name: value for name, value in settings.items() if value is not None}
    return {**default, **said}


def check_settings(path, values):
    """Raises UserError unless each of SETTINGS in the JSON object `values` is a bool or null."""
    _check_flags(path, values, SETTINGS)


def _check_flags(path, values, names):
    for name in names:
        value = values.get(name)
        if value is not None and not isinstance(value, bool):
            raise UserError(
                f"{path}: {name} must be true, false or null, found {value!r}: correct it"
            )


def _read(path):
    return files.read_json(path, "tokenizer configuration") if path.exists() else {}


def _flags(path, values, ideographs, lower):
    """Returns {setting: bool or None} of one file, whose names for two of them are given."""
    names = {lower: "do_lower_case", "strip_accents": "strip_accents"}
    names[ideographs] = "tokenize_chinese_chars"
    if ideographs not in values:  # both spellings occur in both files
        names = {**names, "handle_chinese_chars": "tokenize_chinese_chars"}
    _check_flags(path, values, names)
    flags = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
    # Null says nothing, but of accents: that they are treated as capitals are.
    return {n: flag for n, flag in flags.items() if flag is not None or n == "strip_accents"}


def _effect(name, flags, settings):
    """What a setting of one file comes to."""
    return settings.get("do_lower_case") if flags[name] is None else flags[name]


def _read_fast(path, tokenizer, vocab_file):
    """Checks tokenizer.json; returns the settings of its normaliser."""
    for part, wanted in (("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")):
        found = _object(tokenizer.get(part)).get("type")
        if part in tokenizer and found != wanted:
            raise _refusal(path, f"type of the {part}", found, (wanted,))
    normalizer = _object(tokenizer.get("normalizer"))
    _check_fixed(path, normalizer, _FIXED)
    model = _object(tokenizer.get("model"))
    if model.get("type", "WordPiece") != "WordPiece":
        raise _refusal(path, "type of the model", model["type"], ("WordPiece",))
    _check_fixed(path, model, _FIXED_MODEL)
    if isinstance(model.get("vocab"), dict) and vocab_file.is_file():
        _check_vocab(path, model["vocab"], vocab_file)
    return _flags(path, normalizer, "handle_chinese_chars", "lowercase")


def _check_vocab(path, ids, vocab_file):
    text = vocab_file.read_bytes().decode("utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.split("\n")]
    for token, i in ids.items():
        line = lines[i] if isinstance(i, int) and 0 <= i < len(lines) else None
        if line != token.strip():
            raise UserError(
                f"{path}: token {i} is {token!r}, but in {vocab_file.name} it is {line!r}: one of"
                " the two files belongs to another model"
            )


def _check_fixed(path, values, fixed):
    for name, allowed in fixed.items():
        value = values.get(name)
        if value is not None and value not in allowed:
            raise _refusal(path, name, value, allowed)


def _check_tokens(folder, config, tokenizer):
    """Refuses special tokens of other names, and tokens that are added to the vocabulary's."""
    special = folder / SPECIAL_TOKENS_FILE
    for path, values in ((folder / CONFIG_FILE, config), (special, _read(special))):
        for name, wanted in _SPECIALS.items():
            found = _content(values.get(name))
            if found not in (None, wanted):
                raise _refusal(path, name, found, (wanted,))
        for name in ("additional_special_tokens", "extra_special_tokens", "added_tokens_decoder"):
            _check_added(path, name, values.get(name))
    _check_added(folder / ADDED_TOKENS_FILE, "the file", list(_read(folder / ADDED_TOKENS_FILE)))
    _check_added(folder / TOKENIZER_FILE, "added_tokens", tokenizer.get("added_tokens"))


def _check_added(path, name, tokens):
    tokens = list(tokens.values()) if isinstance(tokens, dict) else tokens or []
    for token in map(_content, tokens if isinstance(tokens, list) else [tokens]):
        if token not in _SPECIALS.values():
            raise UserError(
                f"{path}: {name} adds the token {token!r}, expected none but"
                f" {', '.join(_SPECIALS.values())}: texts that have it would have other ids than in"
                " the model's training: if there are none, remove it from the file"
            )


def _object(value):
    return value if isinstance(value, dict) else {}


def _content(token):
    """The text of a token, which is a str or an object with its `content`."""
    return token.get("content") if isinstance(token, dict) else token


def _refusal(path, name, value, allowed):
    return UserError(
        f"{path}: {name} is {value!r}, expected {', '.join(map(str, allowed))}: texts would have"
        " other ids than in the model's training: give a model with Google BERT's tokenizer, or"
        " correct the file"
    )
