"""Fuzz the reader of IDX files, by many damaged files or by a coverage-guided search (atheris, libFuzzer).

    pip install -e '.[benchmark]'
    python tests/benchmarks/fuzz_idx.py --files 100000
    python tests/benchmarks/fuzz_idx.py --seconds 600

Each file must raise IDXError or give exactly the array in its bytes, and must allocate at most twice the bytes that
it holds. Otherwise the program ends with a traceback and exit status 1 or more.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))


def many_files(n: int, seed: int, folder: Path) -> None:
    """Damage `n` valid files at random and read each."""
    from idx_attacks import attack, damaged, random_file

    draws, found, start = random.Random(seed), {"refused": 0, "read": 0}, time.perf_counter()
    for _ in range(n):
        found[attack(folder / "file", damaged(random_file(draws), draws))] += 1
    seconds = time.perf_counter() - start
    print(f"{n:,} damaged files in {seconds:.0f} s: {found['refused']:,} refused, {found['read']:,} read correctly")


def search(seconds: int, seed: int, folder: Path) -> None:
    """Let libFuzzer search for inputs that reach new lines of idx.py; it prints how many, and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["digitcnn.data.idx"]):
        from idx_attacks import attack, random_file

    corpus = folder / "corpus"
    corpus.mkdir()
    draws = random.Random(seed)
    for number in range(200):
        (corpus / str(number)).write_bytes(draws.choice([b"", b"z"]) + random_file(draws))

    def one(data: bytes) -> None:
        # After a z, compress the data here, so that the search gets past gzip's checksum.
        attack(folder / "file", gzip.compress(data[1:], 1) if data[:1] == b"z" else data)

    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", str(corpus)]
    atheris.Setup([sys.argv[0], *options], one)
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
    tracemalloc.start()  # only once: each start leaks a kilobyte
    with tempfile.TemporaryDirectory() as folder:
        if arguments.files:
            many_files(arguments.files, arguments.seed, Path(folder))
        if arguments.seconds:
            search(arguments.seconds, arguments.seed, Path(folder))


if __name__ == "__main__":
    main()
