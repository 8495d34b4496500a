"""What TensorBoard shows of a graph and a training."""
