"""Makes a small set of sentences with named entities in CoNLL columns, from nothing but this file.

    python examples/make_tagged_data.py --output_dir=names

writes train.txt, dev.txt and test.txt: a word and its label in each line (IOB2: PER, LOC, ORG and
DATE). No name, place, firm or date of one file is in another, many sentences say nothing of what
kind theirs is ("I have never heard of ..."), and a quarter of the patterns are dev's and test's
alone, so a model that knows English does well on dev and one that only knows train.txt guesses.
"""

import dataclasses
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # run from a bare clone too

from bert_tf import cli
from bert_tf.files import make_output_dir, write_text
from bert_tf.options import SEED, between, check_table, option

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}  # of the names; of each kind
FIRST = """
James, Mary, Robert, Patricia, John, Jennifer, Michael, Linda, David, Elizabeth, William,
Barbara, Richard, Susan, Joseph, Jessica, Thomas, Sarah, Charles, Karen, Christopher, Lisa,
Daniel, Nancy, Matthew, Betty, Anthony, Sandra, Mark, Margaret, Donald, Ashley, Steven,
Kimberly, Andrew, Emily, Paul, Donna, Joshua, Michelle, Kenneth, Carol, Kevin, Amanda, Brian,
Melissa, George, Deborah, Timothy, Stephanie, Ronald, Rebecca, Jason, Laura, Edward, Helen,
Jeffrey, Sharon, Ryan, Cynthia, Jacob, Kathleen, Nicholas, Amy, Gary, Angela, Eric, Shirley,
Jonathan, Anna, Stephen, Brenda, Larry, Pamela, Justin, Emma, Scott, Nicole, Brandon, Ruth,
Benjamin, Katherine, Samuel, Samantha, Gregory, Christine, Alexander, Catherine, Patrick,
Virginia, Frank, Rachel, Raymond, Janet
"""
LAST = """
Smith, Johnson, Williams, Brown, Jones, Miller, Davis, Wilson, Anderson, Taylor, Moore, Jackson,
Martin, Thompson, White, Harris, Clark, Lewis, Robinson, Walker, Young, Allen, King, Wright,
Rice, Hill, Green, Adams, Nelson, Baker, Hall, Campbell, Mitchell, Carter, Roberts, Phillips,
Evans, Turner, Parker, Collins, Edwards, Stewart, Morris, Murphy, Cook, Rogers, Mason, Cooper,
Peterson, Reed, Bailey, Bell, Kelly, Howard, Ward, Cox, Richardson, Wood, Watson, Brooks,
Bennett, Gray, Hughes, Price, Sanders, Myers, Long, Ross, Foster, Powell, Jenkins, Perry,
Russell, Sullivan, Fisher, Henderson, Coleman, Simmons, Patterson, Jordan, Reynolds, Hamilton,
Graham, Wallace, Cole, West, Hayes, Bryant, Gibson, Ellis, Stevens, Burns, Marshall, Owens,
Harrison, Kennedy, Wells
"""
PLACES = """
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Warsaw, Athens, Lisbon, Dublin, Oslo,
Stockholm, Helsinki, Copenhagen, Brussels, Amsterdam, Budapest, Moscow, Istanbul, Cairo,
Nairobi, Lagos, Cape Town, Tokyo, Beijing, Shanghai, Seoul, Bangkok, Singapore, Delhi, Mumbai,
Sydney, Melbourne, New York, Los Angeles, Chicago, Boston, Seattle, San Francisco, Toronto,
Montreal, Mexico City, Buenos Aires, Rio de Janeiro, Lima, Bogota, France, Germany, Spain,
Italy, Austria, Poland, Greece, Portugal, Ireland, Norway, Sweden, Finland, Denmark, Belgium,
Hungary, Russia, Turkey, Egypt, Kenya, Nigeria, South Africa, Japan, China, South Korea,
Thailand, India, Australia, Canada, Mexico, Argentina, Brazil, Peru, Colombia, Scotland, Wales,
Bavaria, Tuscany, Texas, California, Florida, Ohio, Quebec, Iceland, Cuba, Chile, Hamburg,
Munich, Milan, Naples, Lyon, Geneva, Zurich
"""
FIRMS = """
Microsoft, Google, Apple, Amazon, Intel, Boeing, Toyota, Honda, Sony, Samsung, Nokia, Siemens,
Philips, Shell, General Motors, Ford Motor Company, Goldman Sachs, Morgan Stanley, the World
Bank, the United Nations, the European Union, NATO, the Red Cross, the BBC, CNN, Reuters, the
New York Times, Harvard University, Stanford University, the University of Oxford, Yale
University, Manchester United, Real Madrid, Bayern Munich, Juventus, the Chicago Bulls, the
Boston Red Sox, Lufthansa, British Airways, Air France, Volkswagen, Renault, Fiat, Nestle,
Unilever, Coca Cola, Pepsi, Walmart, IKEA, Adidas, Nike, Visa, Oracle, Cisco, Adobe, Netflix,
Disney, Warner Brothers, the Supreme Court, the FBI, the CIA, Interpol, UNESCO, Greenpeace,
Amnesty International, Deutsche Bank, Barclays, the Labour Party, the Green Party
"""
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
PATTERNS = """
{X} was mentioned in the report .
I have never heard of {X} before .
They wrote a long article about {X} last week .
Everyone in the room was talking about {X} .
What do you know about {X} ?
The film tells the story of {X} and {X} .
She could not stop thinking of {X} .
A new book on {X} will be published on {DATE} .
{PER} was born in {LOC} on {DATE} .
{PER} , who works for {ORG} , moved to {LOC} .
{ORG} opened a new office in {LOC} in {DATE} .
According to {PER} , the train from {LOC} to {LOC} was late .
{PER} and {PER} met at {ORG} .
We will fly to {LOC} on {DATE} .
{ORG} said on {DATE} that it would buy {ORG} .
The weather in {LOC} has been terrible since {DATE} .
" I trust {PER} , " said {PER} .
Nobody at {ORG} answered the phone .
The meeting begins at nine and ends at noon .
It was the best meal that we ever had .
He may come in the morning , she said .
"""
HELD_OUT = """
Yesterday {X} was in the news again .
The lecture dealt with {X} , {X} and {X} .
Please send the letter to {PER} at {ORG} , {LOC} .
On {DATE} , {PER} left {LOC} for good .
Shares of {ORG} fell sharply .
The road was closed and nobody knew why .
"""


def _entries(text):
    """The entries of a text, separated by commas; a line's end is a space."""
    return [" ".join(entry.split()) for entry in text.split(",")]


def names_of(rng):
    """Returns {split: {type: list of names}}, no name in two splits."""
    dates = [f"{month} {day}" for month in MONTHS.split() for day in range(1, 29)]
    dates += [f"{day} , {month} {n}" for day in DAYS.split() for month in MONTHS.split()[::3]
              for n in range(1, 29, 9)]  # fmt: skip
    dates += [str(year) for year in range(1900, 2025)]
    whole = {"LOC": _entries(PLACES), "ORG": _entries(FIRMS), "DATE": dates}
    parts = {kind: _dealt(names, rng) for kind, names in whole.items()}
    first, last = _dealt(_entries(FIRST), rng), _dealt(_entries(LAST), rng)
    found = {}
    for split in SHARES:
        people = [f"{a} {b}" for a in first[split] for b in last[split]]
        people += first[split] * 10 + last[split] * 10
        found[split] = {"PER": people, **{kind: names[split] for kind, names in parts.items()}}
    return found


def _dealt(names, rng):
    """{split: its share of the names}."""
    names = sorted(set(names))
    rng.shuffle(names)
    found, begin = {}, 0
    for split, share in SHARES.items():
        end = begin + round(share * len(names)) if split != "test" else len(names)
        found[split], begin = names[begin:end], end
    return found


def sentence(pattern, names, rng):
    """Returns [(word, label)] of a pattern, its places filled with names (see `names_of`)."""
    rows = []
    for word in pattern.split():
        if not word.startswith("{"):
            rows.append((word, "O"))
            continue
        kind = word[1:-1]
        kind = rng.choice(["PER", "LOC", "ORG"]) if kind == "X" else kind
        parts = rng.choice(names[kind]).split()
        if parts[0] == "the":  # no part of the name
            rows.append((parts.pop(0), "O"))
        rows += [(part, f"{'I' if i else 'B'}-{kind}") for i, part in enumerate(parts)]
    first, label = rows[0]
    return [(first[0].upper() + first[1:], label), *rows[1:]]


@dataclasses.dataclass
class Options:
    """Flags of this script."""

    output_dir: str | None = option(
        None,
        "Folder for train.txt, dev.txt and test.txt.",
        "Data",
        required="the folder to write to",
    )
    seed: int = option(1, "The same seed and sizes give the same files.", "Data", valid=SEED)
    train_rows: int = option(2000, "Sentences of train.txt.", "Data", valid=between(2, 100_000))
    dev_rows: int = option(600, "Sentences of dev.txt.", "Data", valid=between(2, 100_000))
    test_rows: int = option(200, "Sentences of test.txt.", "Data", valid=between(2, 100_000))
    given: frozenset = frozenset()

    GROUPS = ("Data",)


def make_sentences(options):
    """Returns {split: list of [(word, label)]}."""
    rng = random.Random(options.seed)
    names, found = names_of(rng), {}
    for split in SHARES:
        patterns = (PATTERNS + (HELD_OUT if split != "train" else "")).split("\n")
        patterns = [pattern for pattern in patterns if pattern]
        count = getattr(options, f"{split}_rows")
        found[split] = [sentence(rng.choice(patterns), names[split], rng) for _ in range(count)]
    return found


def main(options):
    """Makes and writes the three files as the `Options` say."""
    check_table(options)
    output_dir = make_output_dir(options.output_dir)
    for split, found in make_sentences(options).items():
        texts = ["".join(f"{word} {label}\n" for word, label in rows) for rows in found]
        write_text(output_dir / f"{split}.txt", "\n".join(texts))
        first = " ".join(word for word, _ in found[0])
        print(f"{output_dir / split}.txt: {len(found)} sentences, as '{first}'")


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
