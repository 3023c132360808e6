"""Makes a file of questions in SQuAD's form from plain text, a paragraph a line.

    python examples/make_questions.py --input_file=wikitext-2/valid.txt --output_file=train.json

A question is a piece of a sentence in which a year, a number or a name is replaced by words that
ask for it ("The route was finished in what year , and"); what was replaced is its answer, and
stands once in the paragraph. With --negative_share some questions are put to another paragraph,
which does not have the answer (SQuAD 2.0). It is no substitute for SQuAD: the words of the question
lead to the sentence, and what is asked for has a form of its own.
"""

import dataclasses
import json
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli
from bert_tf.errors import UserError
from bert_tf.files import write_text
from bert_tf.options import SEED, at_least, between, check_table, option

# What is asked for, by how it is asked: the first that matches says what a word is.
KINDS = {
    "what year": re.compile(r"(?<![\w.,-])(?:1[0-9]|20)[0-9]{2}(?![\w-])"),
    "which name": re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})+"),
    "how many": re.compile(r"(?<![\w.,-])[0-9]{1,3}(?:,[0-9]{3})*(?![\w.,-])"),
}
_MARKS = {" @-@ ": "-", " @,@ ": ",", " @.@ ": ".", "<unk>": "X"}  # of WikiText
_BEFORE, _AFTER = 9, 5  # words of the sentence that a question has around what it asks for
_PER_PARAGRAPH = 4


@dataclasses.dataclass
class Options:
    """Flags of this script."""

    input_file: str | None = option(
        None, "Text, a paragraph a line.", "Data", required="the text to ask about"
    )
    output_file: str | None = option(
        None, "JSON file to write.", "Data", required="the file to write"
    )
    questions: int = option(2000, "Questions to make, at most.", "Data", valid=at_least(1))
    negative_share: float = option(
        0.0,
        "Share of the questions whose paragraph does not have the answer.",
        "Data",
        valid=between(0, 1, "[)"),
    )
    max_words: int = option(170, "Longer paragraphs are passed over.", "Data", valid=at_least(20))
    seed: int = option(1, "The same seed and sizes give the same file.", "Data", valid=SEED)
    given: frozenset = frozenset()

    GROUPS = ("Data",)


def paragraphs_of(lines, max_words):
    """Returns the lines of 20 to `max_words` words, no headings, without WikiText's marks."""
    found = []
    for line in lines:
        for mark, text in _MARKS.items():
            line = line.replace(mark, text)
        line = line.strip()
        if 20 <= len(line.split()) <= max_words and not line.startswith("="):
            found.append(line)
    return list(dict.fromkeys(found))


def questions_of(paragraph):
    """Returns [(question, answer, answer_start)] of a paragraph, in its order."""
    found = []
    for sentence in re.finditer(r".+?(?: [.!?](?= |$)|$)", paragraph):
        for words, pattern in KINDS.items():
            match = pattern.search(sentence[0])
            if match and paragraph.count(match[0]) == 1:
                before = sentence[0][: match.start()].split()[-_BEFORE:]
                after = sentence[0][match.end() :].split()[:_AFTER]
                if len(before) + len(after) >= _AFTER:
                    question = " ".join([*before, words, *after])
                    found.append((question, match[0], sentence.start() + match.start()))
                    break
    return found


def make(lines, count, negative_share=0.0, max_words=170, seed=1):
    """Returns the dict of a file of SQuAD with `count` questions, fewer if the text has no more."""
    rng = random.Random(seed)
    paragraphs = paragraphs_of(lines, max_words)
    asked = []
    for place, paragraph in enumerate(paragraphs):
        found = questions_of(paragraph)
        drawn = rng.sample(found, min(_PER_PARAGRAPH, len(found)))
        asked += [(place, *one) for one in drawn]
    rng.shuffle(asked)
    qas = {}
    for number, (place, question, answer, start) in enumerate(asked[:count]):
        answers = [{"text": answer, "answer_start": start}]
        if rng.random() < negative_share:
            others = [i for i in range(len(paragraphs)) if answer not in paragraphs[i]]
            place, answers = (rng.choice(others), []) if others else (place, answers)
        one = {"id": f"q{number}", "question": question, "answers": answers}
        if negative_share:
            one["is_impossible"] = not answers
        qas.setdefault(place, []).append(one)
    made = [{"context": paragraphs[place], "qas": qas[place]} for place in sorted(qas)]
    version = "v2.0" if negative_share else "1.1"
    return {"version": version, "data": [{"title": "made", "paragraphs": made}]}


def main(options):
    """Makes and writes the file as the `Options` say."""
    check_table(options)
    try:
        lines = pathlib.Path(options.input_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{options.input_file}: cannot read the text: {e}") from e
    value = make(lines, options.questions, options.negative_share, options.max_words, options.seed)
    paragraphs = value["data"][0]["paragraphs"]
    if not paragraphs:
        raise UserError(f"{options.input_file}: holds no paragraph that a question can be made of")
    write_text(options.output_file, json.dumps(value, indent=1) + "\n")
    asked = [one for paragraph in paragraphs for one in paragraph["qas"]]
    print(
        f"{options.output_file}: {len(asked)} questions on {len(paragraphs)} paragraphs, as"
        f" '{asked[0]['question']}'"
    )


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
