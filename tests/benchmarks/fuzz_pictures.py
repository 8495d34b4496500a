"""Fuzz the reader of pictures, by many damaged files or by a coverage-guided search (atheris, libFuzzer).

    pip install -e '.[benchmark]'
    python tests/benchmarks/fuzz_pictures.py --files 100000
    python tests/benchmarks/fuzz_pictures.py --seconds 600

Each file must raise PictureError or give grey values, within 10 seconds, and the process must stay below 700 MB more
than it begins with. Otherwise it ends with a traceback and exit status 1 or more. The search is guided by the lines of
this package and of Pillow's readers that are written in Python; Unix only.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "handwriting"))

MAX_SECONDS = 10
MAX_KB = 700 << 10


class Watch:
    """Ends the process for a file that takes too long or too much memory."""

    def __init__(self) -> None:
        self.start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.slowest = 0.0
        signal.signal(signal.SIGALRM, self._hang)

    def _hang(self, *_: object) -> None:
        raise SystemExit(f"expected an answer within {MAX_SECONDS} s, found none")

    def attack(self, data: bytes, draws: random.Random) -> str:
        """Read one file."""
        from picture_attacks import attack

        begin = time.perf_counter()
        signal.alarm(MAX_SECONDS)
        try:
            return attack(data, draws)
        finally:
            signal.alarm(0)
            self.slowest = max(self.slowest, time.perf_counter() - begin)
            assert self.grown <= MAX_KB, f"{self.grown >> 10} MB more than at the start"

    @property
    def grown(self) -> int:
        """Kilobytes, of the peak."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.start


def many_files(n: int, seed: int) -> None:
    """Damage `n` valid files at random and read each."""
    from picture_attacks import damaged, random_picture

    draws, found, start = random.Random(seed), {"refused": 0, "read": 0}, time.perf_counter()
    watch = Watch()
    for _ in range(n):
        found[watch.attack(damaged(random_picture(draws), draws), draws)] += 1
    seconds = time.perf_counter() - start
    print(
        f"{n:,} damaged files in {seconds:.0f} s: {found['refused']:,} refused, {found['read']:,} read; "
        f"slowest {watch.slowest:.2f} s, {watch.grown >> 10} MB more than at the start"
    )


def search(seconds: int, seed: int, folder: Path) -> None:
    """Let libFuzzer search for inputs that reach new lines; it prints how many, and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["digitcnn.handwriting", "digitcnn._content", "PIL"]):
        from picture_attacks import random_picture

    corpus = folder / "corpus"
    corpus.mkdir()
    draws, watch = random.Random(seed), None
    for number in range(300):
        (corpus / str(number)).write_bytes(random_picture(draws))

    def one(data: bytes) -> None:
        nonlocal watch
        watch = watch or Watch()
        watch.attack(data, random.Random(len(data)))

    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, f"-timeout={2 * MAX_SECONDS}", str(corpus)], one)
    atheris.Fuzz()


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=0, help="damaged files to read")
    parser.add_argument("--seconds", type=int, default=0, help="of the coverage-guided search")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if bool(arguments.files) == bool(arguments.seconds):  # the search instruments the package as it is imported
        parser.error("expected --files N or --seconds N, one of them")
    warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
    if arguments.files:
        many_files(arguments.files, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.seconds:
            search(arguments.seconds, arguments.seed, Path(folder))


if __name__ == "__main__":
    main()
