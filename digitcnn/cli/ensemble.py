"""The options of `digitcnn ensemble train | evaluate | distill`."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from ..ensemble.combining import MAX_MEMBERS, RULES
from ..ensemble.distilling import MAX_COPIES, TEMPERATURE, WEIGHT
from ..ensemble.plan import FROM_DATA
from ..graph.architectures import ARCHITECTURES
from ..search.space import parse_values
from .converters import count, one_of, path
from .ensemble_actions import distill, evaluate, train
from .search import MAX_THREADS, MAX_WORKERS, sentence_of
from .training_options import add_architecture, add_checkpoint_every, add_length, add_recipe, add_validation

EXAMPLES = """examples:
  digitcnn ensemble train --members 5 --jobs 2 --out five
  digitcnn ensemble evaluate --run five --plots plots
  digitcnn ensemble distill --run five --out student
  digitcnn predict --run five photo.jpg
The same command again resumes a training or a distillation that was killed.
"""


def add_options(parser: argparse.ArgumentParser, add_data: Any, add_shifts: Any) -> None:
    """Add the commands to their parser.

    add_data: adds --data and --data-dir to one, with the default in words. add_shifts: adds --shifts.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    train_parser = _action(actions, "train", train, "train members from several seeds into a folder, and test them")
    add_data(train_parser, "bundled")
    train_parser.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder for the ensemble; if it has this training, that is resumed",
    )
    train_parser.add_argument(
        "--members",
        type=partial(count, highest=MAX_MEMBERS),
        default=5,
        metavar="K",
        help="number of members (default: 5)",
    )
    train_parser.add_argument(
        "--architectures",
        nargs="+",
        type=one_of(tuple(ARCHITECTURES)),
        default=[],
        metavar="NAME",
        help=f"architectures that the members have in turn: {', '.join(ARCHITECTURES)} (default: the recipe's)",
    )
    seed = "seed of the first member; the next has the next one (default: 1)"
    _add_training(train_parser, seed, "--architectures", in_steps=True)
    _add_rule(train_parser, "mean")
    train_parser.add_argument(
        "--jobs",
        type=partial(count, highest=MAX_WORKERS),
        default=1,
        metavar="J",
        help="members trained beside each other, each in a process of about 0.6 GB (default: 1)",
    )
    train_parser.add_argument(
        "--threads",
        type=partial(count, highest=MAX_THREADS),
        metavar="N",
        help="TensorFlow's threads for each member, on which its rounding depends (default: the cores of this machine "
        "over the jobs; when resumed, as before)",
    )
    evaluate_parser = _action(actions, "evaluate", evaluate, "test an ensemble on a data set's test images")
    _add_folder(evaluate_parser)
    add_data(evaluate_parser, "the one that the ensemble was trained on")
    _add_rule(evaluate_parser, "the ensemble's own")
    add_shifts(evaluate_parser)
    evaluate_parser.add_argument(
        "--plots",
        type=path,
        metavar="DIR",
        help="also write doubts.png, the images that are doubted most, by how narrowly the mean's first class "
        "wins, and rejection.png, accuracy against the rejected part, into this folder, made if need be",
    )
    distill_parser = _action(actions, "distill", distill, "train one network on an ensemble's answers, and test it")
    _add_folder(distill_parser)
    add_data(distill_parser, "the one that the ensemble was trained on")
    distill_parser.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder for the network and its checkpoints; if it has this distillation, that is resumed",
    )
    add_architecture(distill_parser)
    distill_parser.add_argument(
        "--temperature",
        type=_number,
        default=TEMPERATURE,
        metavar="X",
        help=f"what the members' logits are divided by; above 1 it makes second choices more probable (default: "
        f"{TEMPERATURE:g})",
    )
    distill_parser.add_argument(
        "--weight",
        type=_number,
        default=WEIGHT,
        metavar="X",
        help=f"weight of the members' answers beside the labels, in 0..1 (default: {WEIGHT:g})",
    )
    distill_parser.add_argument(
        "--copies",
        type=partial(count, lowest=0, highest=MAX_COPIES),
        default=0,
        metavar="N",
        help="warped copies of each training image, which the members are asked about and the network is trained on; "
        "--recipe or --set say how they are warped; an epoch has 1 + N times as many steps (default: 0)",
    )
    _add_training(distill_parser, "seed of the network (default: 1)", "--architecture", in_steps=False)


def _action(actions: Any, name: str, function: Any, help: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(action=function, parser=parser)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=path, required=True, metavar="DIR", help="folder of an ensemble")


def _add_rule(parser: argparse.ArgumentParser, default: str) -> None:
    described = "; ".join(f"{name}: {what}" for name, what in RULES.items())
    parser.add_argument(
        "--rule",
        type=one_of(tuple(RULES)),
        metavar="NAME",
        help=f"how the members' answers are combined: {described} (default: {default})",
    )


def _add_training(parser: argparse.ArgumentParser, seed: str, architecture: str, *, in_steps: bool) -> None:
    """Add the options of a training.

    Parameters
    ----------
    parser : ArgumentParser
        Of the action.
    seed : str
        Help of --seed.
    architecture : str
        The option for the network.
    in_steps : bool
        Whether the length can be given in steps.
    """
    add_recipe(parser, "settings that go well together")
    add_length(parser, in_steps=in_steps)
    add_validation(parser)
    parser.add_argument("--seed", type=partial(count, lowest=0), default=1, metavar="N", help=seed)
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        type=sentence_of(partial(_setting, architecture=architecture)),
        default=[],
        metavar="NAME=VALUE",
        help="other settings, by their names in Python, such as dropout=0.3",
    )
    add_checkpoint_every(parser)
    parser.add_argument("--quiet", action="store_true", help="print only the result")


def _setting(text: str, *, architecture: str) -> tuple[str, Any]:
    """The setting and value of NAME=VALUE. Raises ValueError, also for a setting that has an option of its own."""
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign:
        raise ValueError(f"expected NAME=VALUE, found {text!r}")
    if option := {"random_seed": "--seed", "architecture": architecture, "epochs": "--epochs"}.get(name):
        raise ValueError(f"{name}: expected {option}, found it among other settings")
    if name in FROM_DATA:
        raise ValueError(f"{name}: expected to be that of the data, found it given")
    if "," in value:
        raise ValueError(f"expected one value for each setting, found several for {name}")
    name, (only,) = parse_values(text)
    return name, only


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from None


def run(arguments: argparse.Namespace) -> int | None:
    """Do what one of the actions says."""
    return arguments.action(arguments)
