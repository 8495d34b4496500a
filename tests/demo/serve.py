"""`digitcnn demo` with a reader that needs no network, in a process of its own: serve.py KIND [OPTION ...].

KIND is `quick`, `slow`, where each answer takes a second, or `loading`, where the weights take for ever.
"""

import sys
import time

from stand_in import StandIn

from digitcnn.cli import commands
from digitcnn.cli.main import main


class Slow(StandIn):
    def read(self, picture):
        time.sleep(1)
        return super().read(picture)


def open_reader(run):
    if kind == "loading":
        print("loading", flush=True)
        try:
            time.sleep(600)
        except KeyboardInterrupt as error:  # as Python 3.11 does where a class is made
            raise RuntimeError("Error calling __set_name__") from error
    return Slow() if kind == "slow" else StandIn()


if __name__ == "__main__":
    kind = sys.argv[1]
    commands._open_reader = open_reader
    sys.exit(main(["demo", "--no-browser", *sys.argv[2:]]))
