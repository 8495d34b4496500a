"""The data sets that are known by name: where they may be downloaded from, and size and SHA-256 of each file.

Sizes and digests are those that TensorFlow Datasets publishes (tensorflow_datasets/url_checksums).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be once it is downloaded."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where a data set is downloaded from: mirrors in the order of trying, and its files by their names.

    is_archive: the one file is a zip archive, out of which the data set's files are unpacked.
    """

    mirrors: tuple[str, ...]
    files: dict[str, RemoteFile]
    is_archive: bool = False


# https://www.nist.gov/itl/products-and-services/emnist-dataset; all its splits are in one archive of 536 MB
_EMNIST = Source(
    mirrors=(
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
    ),
    files={
        "gzip.zip": RemoteFile(561_753_746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),
    },
    is_archive=True,
)

SOURCES = {
    "mnist": Source(
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        files={
            "train-images-idx3-ubyte.gz": RemoteFile(
                9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            "train-labels-idx1-ubyte.gz": RemoteFile(
                28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            "t10k-images-idx3-ubyte.gz": RemoteFile(
                1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "t10k-labels-idx1-ubyte.gz": RemoteFile(
                4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
    ),
    # https://github.com/zalandoresearch/fashion-mnist, MIT licence
    "fashion-mnist": Source(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        files={
            "train-images-idx3-ubyte.gz": RemoteFile(
                26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": RemoteFile(
                29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": RemoteFile(
                4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": RemoteFile(
                5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
    ),
    # https://github.com/rois-codh/kmnist, CC BY-SA 4.0
    "kmnist": Source(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        files={
            "train-images-idx3-ubyte.gz": RemoteFile(
                18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"
            ),
            "train-labels-idx1-ubyte.gz": RemoteFile(
                29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"
            ),
            "t10k-images-idx3-ubyte.gz": RemoteFile(
                3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"
            ),
            "t10k-labels-idx1-ubyte.gz": RemoteFile(
                5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"
            ),
        },
    ),
    # https://github.com/facebookresearch/qmnist, BSD licence
    "qmnist": Source(
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
        files={
            "qmnist-train-images-idx3-ubyte.gz": RemoteFile(
                9_704_059, "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d"
            ),
            "qmnist-train-labels-idx2-int.gz": RemoteFile(
                463_024, "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f"
            ),
            "qmnist-test-images-idx3-ubyte.gz": RemoteFile(
                9_742_279, "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375"
            ),
            "qmnist-test-labels-idx2-int.gz": RemoteFile(
                526_800, "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06"
            ),
        },
    ),
    "emnist-digits": _EMNIST,
    "emnist-letters": _EMNIST,
    "emnist-balanced": _EMNIST,
}
