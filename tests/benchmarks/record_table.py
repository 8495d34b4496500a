"""The table of the record: means with 95% intervals, votes of five, what is left when the doubtful are rejected."""

from __future__ import annotations

import csv
import itertools
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from record_mistakes import REJECTED, left_after_rejecting, sure_mistakes, write_sure_mistakes
from scipy import stats

from digitcnn.ensemble.combining import DOUBT_MEASURES, RULES, combined_labels

N_MEMBERS, N_DRAWS, MIN_MEMBERS = 5, 5, 12
# Members of several kinds: how many of which row are in a draw of five, from its first seeds.
MIXTURE, N_OF_KIND = {"accurate": 2, "deep": 2, "compact": 1}, 4
LOOP, OF_LOOP, BY_EPOCHS = "tutorial's loop", "of the tutorial's loop", "of its epochs beside"
COLUMNS = ("row", "runs", "mean", "deviation", "low", "high", "lowest", "seconds", OF_LOOP, BY_EPOCHS, "tflop")


def runs_of(folder: Path, row: str) -> list[dict]:
    """The complete runs of a row in the order of their seeds, each with `probabilities` [n, classes]."""
    found = []
    for file in sorted((folder / row).glob("*/run.json"), key=lambda file: int(file.parent.name)):
        probabilities = np.load(file.with_name("probabilities.npy"))
        found.append({**json.loads(file.read_text()), "probabilities": probabilities})
    return found


def interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of the mean, by Student's t; NaN for fewer than two runs."""
    if len(accuracies) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(accuracies) - 1) * statistics.stdev(accuracies) / math.sqrt(len(accuracies))
    mean = statistics.mean(accuracies)
    return mean - half, mean + half


def median_seconds(runs: Sequence[dict]) -> float:
    """Of the runs that were timed and no kill interrupted; NaN if there is none."""
    timed = [run["seconds"] for run in runs if run["seconds"] is not None]
    return statistics.median(timed) if timed else math.nan


def line(
    name: str,
    accuracies: Sequence[float],
    runs: Sequence[dict] = (),
    *,
    loop_seconds: float = math.nan,
    overlap: bool = False,
) -> dict:
    """A line of the table.

    Parameters
    ----------
    name : str
        What it is about.
    accuracies : sequence of float
        Of its runs or draws.
    runs : sequence of dict
        Its runs, if it has some.
    loop_seconds : float
        Of a whole loop of the tutorial.
    overlap : bool
        Whether the accuracies are of draws that share members, or teachers. They are not independent then, and the
        line has no interval.
    """
    low, high = (math.nan, math.nan) if overlap else interval(accuracies)
    ratios = [run["seconds"] / run["tutorial_seconds"] for run in runs if run["seconds"] is not None]
    return {
        "row": name,
        "runs": len(accuracies),
        "mean": statistics.mean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else math.nan,
        "low": low,
        "high": high,
        "lowest": min(accuracies),
        "seconds": median_seconds(runs),
        OF_LOOP: median_seconds(runs) / loop_seconds,
        BY_EPOCHS: statistics.median(ratios) if ratios else math.nan,
        "tflop": runs[0].get("tflop", math.nan) if runs else math.nan,
    }


def draws(n_runs: int, n_drawn: int = N_MEMBERS) -> list[np.ndarray]:
    """Five draws of so many of a row's runs, the same for all rules and rows with so many runs."""
    rng = np.random.default_rng(0)
    return [rng.choice(n_runs, n_drawn, replace=False) for _ in range(N_DRAWS)]


def mixed_draws() -> list[list[tuple[str, int]]]:
    """Five draws of five members of several kinds, each as row and seed."""
    drawn = {row: draws(N_OF_KIND, n) for row, n in MIXTURE.items()}
    return [[(row, int(run) + 1) for row, each in drawn.items() for run in each[number]] for number in range(N_DRAWS)]


def votes(name: str, drawn_members: Sequence[np.ndarray], labels: np.ndarray) -> list[dict]:
    """Lines of five voting by each rule, and of what they leave after rejecting what they doubt most.

    drawn_members: the probabilities [5, n, classes] of each draw.
    """
    found = []
    for rule in RULES:
        right = [combined_labels(members, rule) == labels for members in drawn_members]
        found.append(line(f"{name}, five voting: {rule}", [float(each.mean()) for each in right], overlap=True))
    for measure in DOUBT_MEASURES:
        kept = []
        for members in drawn_members:
            left = left_after_rejecting(members, measure)
            kept.append(float((combined_labels(members) == labels)[left].mean()))
        rejecting = f"{name}, five voting: mean, without the {REJECTED:.1%} doubted most by {measure}"
        found.append(line(rejecting, kept, overlap=True))
    return found


def mcnemar(one: Sequence[dict], other: Sequence[dict], labels: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test of two rows on the same images, pooled over the seeds that both have.

    Returns how many answers are right in the first alone and in the second alone, and the probability of a difference
    at least as large if both were equally good (two-sided; McNemar, Psychometrika 12, 1947). It takes the answers of
    several runs to one image as independent, which they are not quite.
    """
    others = {run["seed"]: run for run in other}
    first = second = 0
    for run in one:
        if run["seed"] in others:
            a = run["probabilities"].argmax(axis=1) == labels
            b = others[run["seed"]]["probabilities"].argmax(axis=1) == labels
            first, second = first + int((a & ~b).sum()), second + int((b & ~a).sum())
    n = first + second
    return first, second, float(stats.binomtest(first, n).pvalue) if n else 1.0


def draw(lines: Sequence[dict], file: Path) -> None:
    """Accuracy against seconds, a point for each row that was timed, with its 95% interval."""
    timed = [each for each in lines if not math.isnan(each["seconds"])]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for each in timed:
        half = 0.0 if math.isnan(each["high"]) else 100 * (each["high"] - each["mean"])
        axes.errorbar(each["seconds"], 100 * each["mean"], half, fmt="o", capsize=3, color="C0")
        place = each["seconds"], 100 * each["mean"] + half
        axes.annotate(each["row"], place, (0, 6), textcoords="offset points", ha="center")
    axes.set(xscale="log", xlabel="seconds of training", ylabel="accuracy in %")
    axes.margins(x=0.2, y=0.1)
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)


def cell(value: float, form: str) -> str:
    """A number of the table in a format, or '-' for NaN."""
    return "-" if math.isnan(value) else format(value, form)


def table_row(line: dict) -> str:
    """A line of the table in Markdown."""
    interval = "-" if math.isnan(line["low"]) else f"{line['low']:.3%} to {line['high']:.3%}"
    forms = {"seconds": ".0f", OF_LOOP: ".3f", BY_EPOCHS: ".3f", "tflop": ".1f"}
    cells = [cell(line["mean"], ".3%"), cell(line["deviation"], ".3%"), interval, cell(line["lowest"], ".2%")]
    cells += [cell(line[name], form) for name, form in forms.items()]
    return f"| {line['row']} | {line['runs']} | {' | '.join(cells)} |"


def write_table(folder: Path, rows: Sequence[str], labels: np.ndarray) -> None:
    """Print the table, and write it as table.csv into the folder, and what was timed as accuracy.png.

    With the members of the mixture, sure_mistakes.csv has the images that they are wrong about and do not doubt.
    """
    lines, all_runs, remarks = [], {}, []
    loop_seconds = median_seconds(runs_of(folder, LOOP))
    for row in rows:
        if runs := runs_of(folder, row):
            all_runs[row] = runs
            accuracies, shared = [run["accuracy"] for run in runs], "teachers" in runs[0]
            lines.append(line(row, accuracies, runs, loop_seconds=loop_seconds, overlap=shared))
            if len(runs) >= MIN_MEMBERS:
                members = np.stack([run["probabilities"] for run in runs])
                lines += votes(row, [members[drawn] for drawn in draws(len(runs))], labels)
    if all({run["seed"] for run in all_runs.get(row, ())} >= set(range(1, N_OF_KIND + 1)) for row in MIXTURE):
        name = " + ".join(f"{n} {row}" for row, n in MIXTURE.items())
        by_seed = {row: {run["seed"]: run["probabilities"] for run in all_runs[row]} for row in MIXTURE}
        drawn_runs = [[by_seed[row][seed] for row, seed in drawn] for drawn in mixed_draws()]
        drawn_members = [np.stack(members) for members in drawn_runs]
        lines += votes(name, drawn_members, labels)
        networks = np.stack([run["probabilities"] for row in MIXTURE for run in all_runs[row]])
        mistakes = sure_mistakes(drawn_members, networks, labels)
        remarks.append(write_sure_mistakes(folder / "sure_mistakes.csv", mistakes, N_DRAWS))
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    draw(lines, folder / "accuracy.png")
    titles = ("row", "runs", "mean", "deviation", "95% interval", "lowest", "seconds", OF_LOOP, BY_EPOCHS, "TFLOP")
    print(f"| {' | '.join(titles)} |\n| --- |{' ---: |' * (len(titles) - 1)}")
    for each in lines:
        print(table_row(each))
    for remark in remarks:
        print(remark)
    for name, runs in all_runs.items():
        if "teachers" in runs[0]:
            print(f"Times and TFLOP of {name} leave out the trainings of its teachers, and TFLOP their answers.")
    names = list(all_runs)
    for one, other in itertools.combinations(names, 2):
        if {run["seed"] for run in all_runs[one]} & {run["seed"] for run in all_runs[other]}:
            a, b, p = mcnemar(all_runs[one], all_runs[other], labels)
            print(f"{one} alone right {a} times, {other} alone {b} times: McNemar's test, p = {p:.2g}")
