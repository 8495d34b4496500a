"""Data sets, IDX files, standardization and batches as NumPy arrays, without TensorFlow."""
