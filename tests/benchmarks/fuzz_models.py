"""Fuzz the loading of saved models, by many damaged folders or by a coverage-guided search (atheris, libFuzzer).

    pip install -e '.[benchmark]'
    python tests/benchmarks/fuzz_models.py --models 10000
    python tests/benchmarks/fuzz_models.py --seconds 600

The index, the data or the record of a model is damaged, and all checksums are written anew, so that the damage gets
past them. Loading must raise CheckpointError and change nothing, or give a model that predicts and can be saved; it
must end within ten seconds and allocate at most 64 MB (in a search, the process 1,200 MB, of which TensorFlow has 900).
Otherwise the program ends with a traceback, or a signal, and the folder stays for a look.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "saving"))

MAX_SECONDS, MAX_BYTES = 10, 64 << 20
MAX_RSS = 1_200  # MB of the process in a search, in which tracing each allocation would take most of the time


def limited(work):
    """Run `work`, within the limits of time and, where it is traced, of memory; return its result."""
    before = 0
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
    faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
    try:
        found = work()
    finally:
        faulthandler.cancel_dump_traceback_later()
    allocated = tracemalloc.get_traced_memory()[1] - before
    assert allocated < MAX_BYTES, f"expected at most {MAX_BYTES} bytes, found {allocated}"
    return found


def many_models(n: int, seed: int, folder: Path) -> None:
    """Damage a model `n` times at random and load it."""
    from model_attacks import attack, damage

    model, images, whole = trained(folder)
    found, start = {"refused": 0, "loaded": 0}, time.perf_counter()
    for number in range(n):
        damage(whole, folder, random.Random(f"{seed} {number}"))
        found[limited(lambda: attack(model, folder, images))] += 1
    seconds = time.perf_counter() - start
    print(f"{n:,} damaged models in {seconds:.0f} s: {found['refused']:,} refused, {found['loaded']:,} loaded")


def search(seconds: int, seed: int, folder: Path) -> None:
    """Let libFuzzer search for bytes that reach new lines of the readers; it prints how many, and ends the process."""
    import atheris

    readers = ["digitcnn.saving.bundle", "digitcnn.saving.variables", "digitcnn.saving.record", "digitcnn._json"]
    with atheris.instrument_imports(include=readers):
        from model_attacks import DATA, INDEX, RECORD, attack, damage, sealed_record

        from digitcnn.saving.bundle import read_index
        from digitcnn.saving.record import VARIABLE_FILES, Record

    model, images, whole = trained(folder)
    corpus = folder / "corpus"
    corpus.mkdir()
    whole_files = {name: (whole / name).read_bytes() for name in (INDEX, DATA, RECORD)}
    draws = random.Random(seed)
    for number in range(200):  # a letter that says which file it is, and its bytes
        damage(whole, folder, draws)
        letter, name = draws.choice([(b"i", INDEX), (b"r", RECORD)])
        (corpus / str(number)).write_bytes(letter + (folder / name).read_bytes())
    found = {"refused": 0, "loaded": 0}

    def load(files: dict[str, bytes]) -> str:
        # The readers alone are a hundred times as fast as a folder and a session.
        variables = dict(zip(VARIABLE_FILES, (files[INDEX], files[DATA]), strict=True))
        files[RECORD] = sealed_record(files[RECORD], variables)
        try:
            Record.from_json(files[RECORD].decode(errors="replace"), folder / RECORD)
            read_index(files[INDEX], len(files[DATA]), checks_crc=False)
        except ValueError:  # CheckpointError, or one that names no file yet
            return "refused"
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return attack(model, folder, images)

    def one(data: bytes) -> None:
        name = {b"i": INDEX, b"d": DATA}.get(data[:1], RECORD)
        found[limited(lambda: load(whole_files | {name: data[1:]}))] += 1
        if sum(found.values()) % 10_000 == 0:
            print(found, flush=True)

    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-max_len=40000",
        f"-rss_limit_mb={MAX_RSS}",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def trained(folder: Path):
    """A trained model, images to predict, and the folder in which it is saved as model 1."""
    from digitcnn import DigitCNN, load_dataset

    digits = load_dataset("bundled")
    few = digits.train_images[:130], digits.train_labels[:130]
    model, whole = DigitCNN(architecture="softmax", random_seed=3, batchsize=100), folder / "whole"
    model.train(few, few, steps=1, verbose=False, checkpoint_dir=whole)
    return model, few[0][:2], whole


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=0, help="damaged models to load")
    parser.add_argument("--seconds", type=int, default=0, help="of the coverage-guided search")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if bool(arguments.models) == bool(arguments.seconds):  # the search instruments the package as it is imported
        parser.error("expected --models N or --seconds N, one of them")
    folder = Path(tempfile.mkdtemp(prefix="fuzz_models-"))
    if arguments.models:
        tracemalloc.start()  # only once: each start leaks a kilobyte
        many_models(arguments.models, arguments.seed, folder)
    if arguments.seconds:
        search(arguments.seconds, arguments.seed, folder)


if __name__ == "__main__":
    main()
