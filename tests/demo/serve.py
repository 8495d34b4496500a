"""`digitcnn demo` with a stand-in for the reader, in a process of its own: serve.py NET [OPTION ...].

NET is the folder of a saved model; with `-` every answer is 7, and TensorFlow is not loaded; with `slow` each takes a
second too, and with `loading` the weights take for ever. TO BE REPLACED by `python -m digitcnn demo` once the reader
is there, where NET is a folder.
"""

import contextlib
import sys
import time

from stand_in import StandIn

from digitcnn.cli import commands
from digitcnn.cli.main import main


class Slow(StandIn):
    def read_page(self, picture):
        time.sleep(1)
        return super().read_page(picture)


@contextlib.contextmanager
def open_reader(run):
    if net == "loading":
        print("loading", flush=True)
        try:
            time.sleep(600)
        except KeyboardInterrupt as error:  # as Python 3.11 does where a class is made
            raise RuntimeError("Error calling __set_name__") from error
    if net in ("-", "slow"):
        yield StandIn() if net == "-" else Slow()
        return
    from digitcnn import DigitCNN

    with DigitCNN.restore(net) as model:
        yield StandIn(model)


if __name__ == "__main__":
    net = sys.argv[1]
    commands._open_reader = open_reader
    sys.exit(main(["demo", "--no-browser", *sys.argv[2:]]))
