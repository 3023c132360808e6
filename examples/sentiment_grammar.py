"""Turns a pool of sentiment words into short English reviews with a known label.

A sentence is one of three kinds: a plain judgement ("the soup was truly delicious"), a negated one
("the soup was not delicious at all") or a contrast whose later clause decides ("the soup began
delicious but ended stale"). Which kind is drawn does not depend on the label, so the frame
alone says nothing about it.
"""

import dataclasses
import random

from examples.sentiment_lexicon import entries

THINGS = {
    "film": entries(
        """film, movie, plot, script, ending, soundtrack, dialogue, sequel, documentary, cast,
        storyline, screenplay, opening, finale, cinematography"""
    ),
    "food": entries(
        """soup, stew, dessert, salad, sauce, pizza, lunch, curry, brunch, sandwich, dinner,
        burger, cake, pasta, buffet"""
    ),
    "travel": entries(
        """hotel, room, beach, tour, hostel, town, lobby, campsite, ferry, island, resort, cabin,
        village, pool, villa"""
    ),
    "product": entries(
        """laptop, phone, camera, keyboard, app, vacuum cleaner, monitor, printer, backpack,
        blender, tablet, speaker, watch, bicycle, toaster"""
    ),
}
DEGREES = ("", "", "", "very", "really", "truly", "utterly", "rather", "somewhat", "fairly")
OPENINGS = (
    *("", "", "", "", "", ""),
    *(
        "all in all,",
        "to be frank,",
        "in short,",
        "if you ask me,",
        "in my opinion,",
        "in my view,",
    ),
)

# {thing} is a noun without article, {adjective} may carry a degree, a:{...} takes "a" or "an".
PLAIN = {
    "adjective": (
        "the {thing} was {degree} {adjective}",
        "I found the {thing} {degree} {adjective}",
        "the {thing} was a:{degree} {adjective} one",
        "the {thing} proved {degree} {adjective}",
        "the {thing} seemed {degree} {adjective}",
        "we had a:{degree} {adjective} {thing}",
        "we felt the {thing} was {degree} {adjective}",
    ),
    "verb": (
        "I {past} the {thing}",
        "we {past} the {thing}",
        "everybody {past} the {thing}",
        "you will {base} the {thing}",
    ),
    "noun": (
        "the {thing} was a:{noun}",
        "the {thing} proved a:{noun}",
        "I would call the {thing} a:{noun}",
    ),
    "predicate": ("the {thing} {predicate}",),
}
NEGATED = {
    "adjective": (
        "the {thing} was not {adjective} at all",
        "the {thing} was never {adjective}",
        "the {thing} was far from {adjective}",
        "the {thing} was anything but {adjective}",
        "nobody would call the {thing} {adjective}",
        "I did not find the {thing} {adjective}",
        "there was nothing {adjective} about the {thing}",
        "the {thing} was not even {adjective}",
    ),
    "verb": (
        "I did not {base} the {thing}",
        "nobody {past} the {thing}",
        "you will never {base} the {thing}",
        "none of us {past} the {thing}",
    ),
    "noun": (
        "the {thing} was no {noun}",
        "the {thing} was not a:{noun}",
        "nobody would call the {thing} a:{noun}",
    ),
}
CONTRAST = (
    "{first}, but {last}",
    "although {first}, {last}",
    "{first}, yet in the end {last}",
    "{first}; even so, {last}",
    "some say {first}, but {last}",
)
TURNS = (
    "the {thing} began {first} but ended {last}",
    "the {thing} looked {first} initially, then became {last}",
    "they promised a:{first} {thing} but it was {last}",
    "the {thing} was {first} once, but now it is {last}",
)
# Draws per hundred: kinds of sentence, and parts of speech that carry the judgement.
SENTENCE_KINDS = {"plain": 50, "negated": 25, "contrast": 25}
CARRIERS = {"adjective": 60, "verb": 13, "noun": 13, "predicate": 14}


@dataclasses.dataclass
class Grammar:
    """Draws sentences over `words`, {label: {kind of entry: sorted entries}}, from `rng`."""

    words: dict
    rng: random.Random

    def sentence(self, label):
        """Returns a sentence (str, lower case but for "I" and names) whose sentiment is `label`."""
        domain = self.rng.choice(sorted(THINGS))
        kind = self._draw(SENTENCE_KINDS)
        if kind == "contrast":
            text = self._contrast(domain, label)
        else:
            text = self._clause(domain, label, negated=kind == "negated")
        opening = self.rng.choice(OPENINGS)
        return " ".join(f"{opening} {text}.".split())

    def _contrast(self, domain, label):
        """A clause of the other label, then one of `label`: the later one decides."""
        if self.rng.random() < 0.5:
            first, last = self._adjective(domain, 1 - label), self._adjective(domain, label)
            frame = self.rng.choice(TURNS)
            return _fill(frame, thing=self.rng.choice(THINGS[domain]), first=first, last=last)
        # At most one of the two is negated: more would read like a riddle.
        negated = self.rng.choice(((False, False), (True, False), (False, True)))
        things = self.rng.sample(THINGS[domain], 2)
        first = self._clause(domain, 1 - label, negated[0], things[0])
        last = self._clause(domain, label, negated[1], things[1])
        return _fill(self.rng.choice(CONTRAST), first=first, last=last)

    def _clause(self, domain, label, negated, thing=None):
        frames = NEGATED if negated else PLAIN
        carrier = self._draw({c: n for c, n in CARRIERS.items() if c in frames})
        polarity = 1 - label if negated else label
        fields = {
            "thing": thing or self.rng.choice(THINGS[domain]),
            "degree": self.rng.choice(DEGREES),
        }
        if carrier == "adjective":
            fields["adjective"] = self._adjective(domain, polarity)
        else:
            entry = self.rng.choice(self.words[polarity][carrier])
            base, _, past = entry.partition("/")
            fields.update({"base": base, "past": past, carrier: entry})
        return _fill(self.rng.choice(frames[carrier]), **fields)

    def _adjective(self, domain, polarity):
        own, general = self.words[polarity][domain], self.words[polarity]["general"]
        return self.rng.choice(own if self.rng.random() < 0.4 else general)

    def _draw(self, weights):
        return self.rng.choices(list(weights), list(weights.values()))[0]


def _fill(frame, **fields):
    """Fills the braces of `frame`; "a:" before a word becomes the right article."""
    words = frame.format(**fields).replace("a: ", "a:").split()
    return " ".join(_article(w[2:]) + " " + w[2:] if w.startswith("a:") else w for w in words)


def _article(word):
    return "an" if word[0] in "aeiou" and not word.startswith(("use", "uni", "eu")) else "a"
