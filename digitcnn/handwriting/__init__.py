"""Picture files of handwriting as NumPy arrays, without TensorFlow."""
