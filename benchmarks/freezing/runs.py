"""The runs of benchmarks.freezing: what each variant is, and its options."""

import dataclasses
import pathlib
import re

from bert_tf import files
from bert_tf.classification.options import ClassifierOptions
from bert_tf.errors import UserError
from bert_tf.freezing.options import CACHE, GRADIENTS, RULE, TESTS
from bert_tf.options import names_that_need

_RUN_FIELDS = frozenset(f.name for f in dataclasses.fields(ClassifierOptions))
_PLACES = frozenset({"output_dir", "feature_dir", "cache_dir"})


@dataclasses.dataclass(frozen=True)
class Variant:
    """What of the model freezes, and whether there is a cache.

    Attributes:
      name: as in --variants.
      policy: a --freeze_policy.
      layers: --freeze_layers.
      percentile: --percentile of this variant; None: that of all.
      cache: whether the frozen layers' outputs are cached.
    """

    name: str
    policy: str
    layers: int
    percentile: int | None
    cache: bool

    @classmethod
    def parse(cls, name):
        """Returns the `Variant` called `name`.

        Raises:
          UserError: it is none.
        """
        found = re.fullmatch(
            r"(full)|(?:(autofreeze|random)(?:-(\d{1,2}))?|static-(embeddings|[1-9]\d*))(\+cache)?",
            name,
        )
        if not found or (found[4] == "embeddings" and found[5]):
            raise UserError(
                f"--variants: expected full, autofreeze, random, autofreeze-PERCENTILE,"
                f" random-PERCENTILE, static-N or static-embeddings, all but the first and last"
                f" with or without +cache; found {name!r}"
            )
        full, policy, percentile, layers, cache = found.groups()
        policy = "none" if full else policy or "static"
        return cls(name, policy, _layers(layers), percentile and int(percentile), bool(cache))


def _layers(text):
    return {None: 0, "embeddings": -1}.get(text) or int(text or 0)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
      variant: `Variant`.
      seed: integer.
      folder: its output folder; `results.json` is there once it is done.
      options: `ClassifierOptions`.
    """

    variant: Variant
    seed: int
    folder: pathlib.Path
    options: ClassifierOptions

    @property
    def name(self):
        """The folder's name, which is unique."""
        return self.folder.name

    def results(self):
        """Returns the content of results.json; None if the run is not done.

        Raises:
          UserError: it is that of a run with other flags.
        """
        path = self.folder / "results.json"
        if not path.exists():
            return None
        results = files.read_json(path, "results")
        wanted = {k: v for k, v in dataclasses.asdict(self.options).items() if v is not None}
        found = results.get("options", {})
        for name in sorted((wanted.keys() | found.keys()) - _PLACES - {"given"}):
            if wanted.get(name) != found.get(name):
                raise UserError(
                    f"{path}: measured with {name}={found.get(name)!r}, this command has"
                    f" {wanted.get(name)!r}: give the same flags, or another --work_dir"
                )
        return results


def make_run(options, variant, seed, **changes):
    """Returns the `Run` of a variant and seed.

    Args:
      options: `BenchmarkOptions`.
      variant: `Variant`.
      seed: integer.
      **changes: more values of `ClassifierOptions`.
    """
    folder = pathlib.Path(options.work_dir) / f"{variant.name}-{seed}"
    values = {name: getattr(options, name) for name in _RUN_FIELDS}
    values |= {"do_train": True, "do_eval": True, "seed": seed, "output_dir": str(folder)}
    if not options.tfrecord_dir:
        values["feature_dir"] = options.feature_dir or f"{options.work_dir}/features"
    if variant.policy != "none":
        values |= {"freeze_policy": variant.policy, "freeze_layers": variant.layers}
    if not variant.cache:
        values["activation_cache"] = "off"
    elif "activation_cache" not in options.given:
        values["activation_cache"] = "auto"
    useless = _without_effect(ClassifierOptions(**values))
    for field in dataclasses.fields(ClassifierOptions):
        if field.name in useless:
            values[field.name] = field.default
    if variant.percentile is not None:
        values["percentile"] = variant.percentile
    if variant.cache and options.cache_dir:
        values["cache_dir"] = f"{options.cache_dir}/{folder.name}"
    if not variant.cache:
        useless.add("activation_cache")
    values["given"] = options.given & _RUN_FIELDS - useless
    return Run(variant, seed, folder, ClassifierOptions(**{**values, **changes}))


def _without_effect(options):
    """The flags that the variant of these options would refuse."""
    needs = [need for need in (RULE, GRADIENTS, TESTS, CACHE) if not need.holds(options)]
    return {name for need in needs for name in names_that_need(options, need)}
