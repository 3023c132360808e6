"""What tasks are called: names only, which the files of a model and of a data set share."""

TASK_NAMES = (
    "cola",
    "mnli",
    "mnli-mm",
    "mrpc",
    "qnli",
    "qqp",
    "rte",
    "sst-2",
    "sts-b",
    "wnli",
    "xnli",
    "ag",
    "dbpedia",
    "imdb",
    "sogou",
    "trec",
    "yahoo",
    "yelp-f",
    "yelp-p",
)

_ALIASES = {
    "sst2": "sst-2",
    "sst": "sst-2",
    "stsb": "sts-b",
    "sts": "sts-b",
    "mnli-m": "mnli",
    "mnli-matched": "mnli",
    "mnli-mismatched": "mnli-mm",
    "ag-news": "ag",
    "agnews": "ag",
    "yelp-full": "yelp-f",
    "yelp-polarity": "yelp-p",
}


def canonical_name(name):
    """Returns the one of `TASK_NAMES` that `name`, in any case or an alias, means, else None."""
    key = name.strip().lower().replace("_", "-")
    key = _ALIASES.get(key, key)
    return key if key in TASK_NAMES else None
