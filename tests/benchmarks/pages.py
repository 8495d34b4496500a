"""How many digits of pages are found and read right, by a saved model; how long a page takes.

    python tests/benchmarks/pages.py                                 # 60 made pages, read by the weights that ship
    python tests/benchmarks/pages.py --run logs/cnn --pages DIR/labels.csv           # by a run; and real ones

A digit is found if the middle of its box lies in a found box and the other way round. Of real pages, whose boxes
nobody drew, the text is compared: digits that are missing, wrong or too many in the best alignment.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from digitcnn import Reader, find_digits, load_dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "handwriting"))
from messy_pages import PAPERS, make_page

# A small page first, as libraries take memory when they are first used.
MEASURE_MEMORY = """
import re, sys, numpy
from pathlib import Path
from digitcnn import find_digits
find_digits(255 - 200 * numpy.eye(300, dtype=numpy.uint8))
def peak():  # of Linux; that of resource.getrusage is the parent's, if that was higher
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
find_digits(sys.argv[1])
print(f"12 megapixels: peak of {peak():.0f} MB, {peak() - before:.0f} MB more than after a small page")
"""


class Network:
    """A reader as the judge of pages: of a saved model, or with the weights that ship."""

    def __init__(self, run: Path | None):
        self.reader = Reader.restore(run) if run else Reader.pretrained()

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Of the ten digits, float [n, 10], for uint8 [n, 28, 28]."""
        return self.reader.probabilities(images) if len(images) else np.zeros((0, 10))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.reader.judge(images)


def read(picture, network: Network, turn: int | None = 0):
    """The page, and its digits' labels; without `turn`, of the turn whose digits are the surest."""
    page = find_digits(picture, turn, network)
    return page, network.probabilities(np.array([digit.image for digit in page.digits])).argmax(1)


def compare_boxes(page, labels: np.ndarray, rows: list) -> dict[str, int]:
    """Counts of digits, found, right, false finds, touching pairs and those read right."""
    found = [digit.box for digit in page.digits]
    free = set(range(len(found)))
    counts = dict.fromkeys(("digits", "found", "right", "false", "pairs", "pairs right"), 0)
    for text, boxes, touching in rows:
        right = []
        for label, box in zip(text, boxes, strict=True):
            mine = next((i for i in sorted(free) if _meet(found[i], box)), None)
            free.discard(mine)
            counts["found"] += mine is not None
            right.append(mine is not None and labels[mine] == int(label))
        counts["digits"] += len(text)
        counts["right"] += sum(right)
        counts["pairs"] += len(touching)
        counts["pairs right"] += sum(right[place - 1] and right[place] for place in touching)
    counts["false"] = len(free)
    return counts


def _meet(a, b) -> bool:
    """Whether the middle of each box lies in the other."""
    return all(
        one[side] <= (other[side] + other[side + 2]) / 2 <= one[side + 2]
        for one, other in ((a, b), (b, a))
        for side in (0, 1)
    )


def compare_texts(found: str, truth: str) -> tuple[int, int]:
    """How many characters of the truth are right in the best alignment, and how many too many were found."""
    # Of each pair of beginnings: most right, then fewest false.
    best = [[(0, -j) for j in range(len(found) + 1)]]
    for i, wanted in enumerate(truth, 1):
        line = [(0, 0)]
        for j, got in enumerate(found, 1):
            right, false = best[i - 1][j - 1]
            line.append(max((right + (wanted == got), false), best[i - 1][j], (line[-1][0], line[-1][1] - 1)))
        best.append(line)
    right, false = best[-1][-1]
    return right, -false


def text_of(page, labels: np.ndarray) -> str:
    """The digits, rows separated by spaces."""
    following = iter(labels)
    return " ".join("".join(str(next(following)) for number in row for _ in number) for row in page.rows)


def measure_real(network: Network, file: Path) -> None:
    """Print what is read on the pages of a labels.csv."""
    total = np.zeros(3, int)
    with file.open(encoding="utf-8") as lines:
        pages = [row for row in csv.DictReader(lines) if row["kind"] == "page"]
    for row in pages:
        page, labels = read(file.parent / row["file"], network, None)
        text = text_of(page, labels)
        right, false = compare_texts(text.replace(" ", ""), row["label"].replace(" ", ""))
        counts = np.array([right, len(row["label"].replace(" ", "")), false])
        total += counts
        print(f"{row['file']}: {right} of {counts[1]} right, {false} false, turn {page.turn}: {text}")
    print(f"real pages: {total[0]} of {total[1]} right, {total[2]} false")


def measure_made(network: Network, count: int, seed: int, verbose: bool) -> None:
    """Print what is read on made pages, by kind of paper."""
    test = load_dataset("mnist")
    kinds: dict[str, dict[str, int]] = {}
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        paper = PAPERS[number % len(PAPERS)]
        picture, rows = make_page(rng, (test.test_images, test.test_labels), paper)
        page, labels = read(picture, network)
        counts = compare_boxes(page, labels, rows)
        if verbose and (counts["right"] < counts["digits"] or counts["false"]):
            print(number, paper, counts, " ".join(row.text for row in rows), "|", text_of(page, labels))
        for kind in (paper, "all"):
            sums = kinds.setdefault(kind, dict.fromkeys(counts, 0))
            for name, value in counts.items():
                sums[name] += value
    for kind, sums in kinds.items():
        shares = f"right {sums['right'] / sums['digits']:.2%}, false {sums['false'] / sums['digits']:.2%}"
        print(f"made pages, {kind}: {shares}; {sums}")


def measure_time(network: Network) -> None:
    """Print the time of a page of 12 megapixels, and the memory it adds to a fresh process without TensorFlow."""
    picture, _ = make_page(np.random.default_rng(1), None, "squared")
    large = picture.resize((3000, 4000))
    find_digits(large, judge=network)
    start = time.perf_counter()
    find_digits(large, judge=network)
    print(f"12 megapixels: {time.perf_counter() - start:.2f} s with the network's answers")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "large.jpg")
        large.save(file)
        print(subprocess.check_output([sys.executable, "-c", MEASURE_MEMORY, str(file)], text=True).strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a saved model")
    parser.add_argument("--pages", type=Path, help="labels.csv with rows of kind `page`, beside their pictures")
    parser.add_argument("--count", type=int, default=60, help="made pages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print each made page that is not read right")
    arguments = parser.parse_args()
    network = Network(arguments.run)
    if arguments.pages:
        measure_real(network, arguments.pages)
    measure_made(network, arguments.count, arguments.seed, arguments.verbose)
    measure_time(network)


if __name__ == "__main__":
    main()
