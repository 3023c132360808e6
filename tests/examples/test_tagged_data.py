"""The small set of names: no name of one file is in another, and it is in IOB2."""

import numpy as np

from bert_tf.tagging import conll, entities
from examples import make_tagged_data


def test_names_are_of_one_file(tmp_path, capsys):
    options = make_tagged_data.Options(output_dir=str(tmp_path), train_rows=300, dev_rows=100)
    make_tagged_data.main(options)
    assert "train.txt: 300 sentences" in capsys.readouterr().out
    found = {}
    for split in ("train", "dev", "test"):
        file = conll.read(tmp_path / f"{split}.txt", 0, -1)
        assert entities.recognise(file.labels, file.offsets) == "iob2"
        entities.check(file, "iob2", given=True)
        found[split] = set()
        kinds = entities.Alphabet.of(known := sorted(set(file.labels)))
        labels = np.array([known.index(label) for label in file.labels])
        for start, end, kind in zip(*entities.spans(labels, kinds, file.offsets), strict=True):
            words = file.words[start:end]
            # Of people, first and last names count by themselves.
            names = words if kinds.types[kind] == "PER" else [" ".join(words)]
            found[split] |= {(kinds.types[kind], name) for name in names}
    assert len(found["train"]) > 200 and len(found["dev"]) > 80
    assert not found["train"] & (found["dev"] | found["test"])
    again = make_tagged_data.make_sentences(options)
    assert [word for rows in again["dev"] for word, _ in rows][:20] == conll.read(
        tmp_path / "dev.txt", 0, -1
    ).words[:20]
