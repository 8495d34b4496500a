"""IDX files by Hypothesis: every type and rank comes back, and damage gives IDXError or the right array."""

import gzip
import random

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from idx_attacks import attack, damaged, plain, random_file

from digitcnn import read_idx, write_idx
from digitcnn.data.idx import TYPE_CODES

# The same examples in each run; tests/benchmarks/fuzz_idx.py goes on to others.
examples = hypothesis.settings(
    derandomize=True,
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
arrays = st.sampled_from(list(TYPE_CODES.values())).flatmap(
    lambda dtype: st_numpy.arrays(
        dtype.newbyteorder("="), st_numpy.array_shapes(min_dims=0, max_dims=7, min_side=0, max_side=5)
    )
)


@examples
@hypothesis.given(array=arrays, compressed=st.booleans(), big_endian=st.booleans())
def test_every_type_and_rank_comes_back(tmp_path, array, compressed, big_endian):
    path = tmp_path / ("a.gz" if compressed else "a")
    write_idx(path, array.astype(array.dtype.newbyteorder(">")) if big_endian else array)
    again = read_idx(path)
    assert again.dtype == array.dtype and again.dtype.isnative and again.shape == array.shape
    assert again.tobytes() == array.tobytes()  # NaN too, bit for bit
    assert again.flags.writeable and again.flags.c_contiguous
    content = path.read_bytes()
    assert (gzip.decompress(content) if compressed else content) == plain(array)


@examples
@hypothesis.given(data=st.binary(max_size=200), compressed=st.booleans())
def test_any_bytes(tmp_path, data, compressed):
    attack(tmp_path / "a", gzip.compress(data) if compressed else data)


@examples
@hypothesis.given(
    rank=st.integers(0, 255),
    code=st.sampled_from(list(TYPE_CODES)),
    sizes=st.lists(st.sampled_from([0, 1, 2, 3, 255, 65_535, 2**31, 2**32 - 1]), max_size=8),
    data=st.binary(max_size=40),
    compressed=st.booleans(),
)
def test_any_header(tmp_path, rank, code, sizes, data, compressed):
    content = bytes([0, 0, code, rank if rank % 3 else len(sizes)])
    content += np.array(sizes, ">u4").tobytes() + data
    attack(tmp_path / "a", gzip.compress(content) if compressed else content)


def test_three_thousand_damaged_files(tmp_path):
    draws, found = random.Random(1), {"refused": 0, "read": 0}
    for _ in range(3_000):
        found[attack(tmp_path / "a", damaged(random_file(draws), draws))] += 1
    assert found["refused"] > 1_000 and found["read"] > 100  # data that are other data are no damage to see
