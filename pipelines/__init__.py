"""Jobs around the models: configuration, training, prediction, evaluation, the demo and the `voxhelix` command."""
