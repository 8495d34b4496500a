"""A replica's part of the batch, and what its random numbers derive from.

A training step on several workers or devices computes the mean over the whole batch, of which each replica has some
consecutive rows. Random numbers are drawn for the whole batch, so that a row has the same ones wherever it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

v1 = tf.compat.v1

# Placeholders of a sharded graph: (first, counted, total) rows int32 [3], and 1.0 to stop all workers, float32 [].
ROWS, STOP = "shard/rows", "shard/stop"
PHILOX = 1  # TensorFlow's number of the random generator that it chooses on CPUs and GPUs
BITS_IN_A_BLOCK = 8  # elements of 16 bits in the 128 bits that Philox makes at a time


@dataclass(frozen=True)
class Shard:
    """The rows of the batch that a replica computes.

    Parameters
    ----------
    first : Tensor
        Number of the first row in the whole batch, int32 [].
    total : Tensor
        Number of rows in the whole batch, int32 [].
    counted : Tensor
        Number of rows that count, int32 []; 0 of a replica that repeats a row because there are too few.
    """

    first: tf.Tensor
    total: tf.Tensor
    counted: tf.Tensor

    @classmethod
    def placeholder(cls) -> Shard:
        """Make the placeholders of the default graph; unfed, as in prediction, there are no rows to draw for."""
        rows = v1.placeholder_with_default(tf.zeros([3], tf.int32), [3], name=ROWS)
        v1.placeholder_with_default(0.0, [], name=STOP)
        first, counted, total = tf.unstack(rows)
        first = tf.maximum(tf.minimum(first, total - 1), 0, name="shard/first")
        return cls(first, tf.identity(total, name="shard/total"), tf.identity(counted, name="shard/counted"))

    def part(self, number: int, n_parts: int, images: tf.Tensor) -> tuple[Shard, tf.Tensor, tf.Tensor]:
        """Return the shard of one of a worker's devices, the first of its rows in `images` and their number, int32 [].

        images: the rows of the worker, [n, ...]. A device without rows repeats one, which does not count.
        """
        start, end = (self.counted * k // n_parts for k in (number, number + 1))
        start = tf.minimum(start, tf.shape(images)[0] - 1)
        counted = end - self.counted * number // n_parts
        first = tf.minimum(self.first + start, self.total - 1)
        return Shard(first, self.total, counted), start, tf.maximum(counted, 1)

    def share(self, dtype: tf.DType) -> tf.Tensor:
        """The part of the whole batch that counts here, [] of that type."""
        return tf.cast(self.counted, dtype) / tf.cast(self.total, dtype)

    def own_bits(self, seed: tf.Tensor, size: tf.Tensor, n_rows: tf.Tensor) -> tf.Tensor:
        """Return this replica's part of 16 random bits for each element of the whole batch, uint16 [size].

        The generator, Philox, counts blocks of four uint32: it starts with the block in which this replica's part
        begins, so that many workers do not draw the whole batch's numbers each.

        Parameters
        ----------
        seed : Tensor
            Of the whole batch's numbers, int64 [2].
        size : Tensor
            Number of this replica's elements, int32 [].
        n_rows : Tensor
            Number of its rows, int32 [].
        """
        start = tf.cast(self.first, tf.int64) * tf.cast(size // n_rows, tf.int64)
        block, within = start // BITS_IN_A_BLOCK, tf.cast(start % BITS_IN_A_BLOCK, tf.int32)
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
        counter += tf.stack([tf.cast(block, tf.uint64), tf.constant(0, tf.uint64)])
        n_pairs = (within + size + 1) // 2
        pairs = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[n_pairs], key=key, counter=counter, alg=PHILOX, dtype=tf.uint32
        )
        return tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[within : within + size]

    def own_rows(self, drawn: tf.Tensor, n_rows: tf.Tensor) -> tf.Tensor:
        """Return this replica's rows of what was drawn for the whole batch, [total, ...] -> [n_rows, ...]."""
        return drawn[self.first : self.first + n_rows]
