"""What tensors and operations are made of."""
