"""Prediction in bulk: files of images of any length, to files of labels and probabilities."""
