"""The browser of the browser tests: which one, and how it is started."""

import os
import shutil

# No requests and updates of the browser's own; WebGL without a graphics card, for the projector.
FLAGS = [
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--no-first-run", "--disable-gpu", "--enable-unsafe-swiftshader"),
]


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return os.environ.get("DIGITCNN_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
