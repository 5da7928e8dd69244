"""Prediction of whole volumes by networks trained on windows."""

from medimg.inference.sliding_window import gaussian_weights as gaussian_weights
from medimg.inference.sliding_window import sliding_window as sliding_window
from medimg.inference.sliding_window import window_starts as window_starts
