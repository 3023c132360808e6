"""What happens to a text before it is cut into pieces, as TensorFlow operations."""

import tensorflow as tf
import tensorflow_text as tf_text

MAX_WORD_CHARACTERS = 200
MAX_WORD_BYTES = 4 * MAX_WORD_CHARACTERS  # no UTF-8 character is longer than 4 bytes

# Printable ASCII and the three control characters that count as spaces.
_PLAIN = r"[ -~\t\n\r]*"
_SPACES = r"[\t\n\r\p{Zs}]+"
_DROPPED = r"[\p{Cc}\p{Cf}\x{FFFD}]+"
_ACCENTS = r"\p{Mn}+"
# Characters that are words of their own: punctuation and ASCII symbols, and CJK ideographs.
_PUNCTUATION = r"!-/:-@\[-`{-~\p{P}"
_IDEOGRAPHS = (
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}"
)
_RUN_OVER_LIMIT = rf"(?s).*[^ ]{{{MAX_WORD_CHARACTERS + 1}}}.*"
# Longer than the tokenizer's limit in bytes, hence [UNK] whatever the vocabulary.
_UNKNOWN_WORD = "x" * (MAX_WORD_BYTES + 1)


def normalize(texts, do_lower_case, strip_accents=None):
    """Cleans texts, and lower-cases them and strips their accents if asked to.

    Args:
      texts: string [n], UTF-8. Bytes that are not UTF-8 are dropped, as Google's program does.
      do_lower_case: bool.
      strip_accents: bool; None is as do_lower_case.

    Returns:
      string [n]: valid UTF-8 without control and format characters.
    """
    # Most texts in English are plain ASCII, for which one cheap step gives the same result.
    plain = tf.strings.regex_full_match(texts, _PLAIN)
    plain_rows = tf.where(plain)[:, 0]
    other_rows = tf.where(~plain)[:, 0]
    plain_texts = tf.gather(texts, plain_rows)
    if do_lower_case:
        plain_texts = tf.strings.lower(plain_texts)
    strip_accents = do_lower_case if strip_accents is None else strip_accents
    other_texts = _normalize_unicode(tf.gather(texts, other_rows), do_lower_case, strip_accents)
    stitched = tf.dynamic_stitch(
        [tf.cast(plain_rows, tf.int32), tf.cast(other_rows, tf.int32)], [plain_texts, other_texts]
    )
    return tf.ensure_shape(stitched, texts.shape)


def hide_long_words(texts, tokenize_chinese_chars=True):
    """Replaces each word of over 200 characters by one of over 800 bytes.

    The word-piece operation counts bytes where Google's program counts characters; a limit of 800
    bytes lets through every word of 200 characters, and some longer ones, which end here.

    Args:
      texts: string [n], normalised.
      tokenize_chinese_chars: see `split_words`.

    Returns:
      string [n].
    """
    rows = tf.where(tf.strings.regex_full_match(texts, _RUN_OVER_LIMIT))
    return tf.cond(
        tf.size(rows) > 0,
        lambda: tf.tensor_scatter_nd_update(
            texts, rows, _without_long_words(tf.gather_nd(texts, rows), tokenize_chinese_chars)
        ),
        lambda: texts,
    )


def split_words(texts, tokenize_chinese_chars=True):
    """Splits normalised texts at spaces and around punctuation and CJK ideographs.

    Args:
      texts: string [n], normalised.
      tokenize_chinese_chars: whether each ideograph is a word of its own.

    Returns:
      string RaggedTensor [n, words].
    """
    singles = _PUNCTUATION + (_IDEOGRAPHS if tokenize_chinese_chars else "")
    texts = tf.strings.regex_replace(texts, f"([{singles}])", r" \1 ")
    return tf.strings.split(tf.strings.regex_replace(texts, r"\p{Z}+", " "))


def _normalize_unicode(texts, do_lower_case, strip_accents):
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="ignore")
    texts = tf.strings.regex_replace(texts, _SPACES, " ")
    texts = tf.strings.regex_replace(texts, _DROPPED, "")
    if do_lower_case:
        # ASCII first: the second step follows the locale, and in Turkish I becomes a dotless i.
        texts = tf.strings.lower(tf.strings.lower(texts), encoding="utf-8")
    if strip_accents:
        texts = tf_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, _ACCENTS, "")
    return texts


def _without_long_words(texts, tokenize_chinese_chars):
    words = split_words(texts, tokenize_chinese_chars)
    too_long = tf.strings.length(words.values, unit="UTF8_CHAR") > MAX_WORD_CHARACTERS
    words = words.with_values(tf.where(too_long, _UNKNOWN_WORD, words.values))
    return tf.strings.reduce_join(words, axis=-1, separator=" ")
