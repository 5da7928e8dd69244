"""Short-time Fourier transforms: the spectra of overlapping frames of a signal, and the signal back from them."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.ops import elementwise as e
from framework.ops.index import index_add
from framework.ops.scan import like
from framework.ops.shape import narrow, pad, reshape, squeeze, transpose, unsqueeze
from framework.ops.spectral import fft, ifft, irfft, rfft


@operation(autocast="cpu:float32")
def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The spectra of frames `n_fft` long, `hop_length` apart: (*, frequencies, frames) of a signal (*, samples).

    With `center` the signal is padded so that frame t is centred at sample `t * hop_length`.
    """
    from framework.ops.complex import view_as_real

    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    is_complex = input.is_complex()
    if return_complex is None and not is_complex and (window is None or not window.is_complex()):
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs")
    if input.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, got {input.ndim}D")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    rows = unsqueeze(input, 0) if input.ndim == 1 else input
    if center:
        rows = squeeze(pad(unsqueeze(rows, 1), (n_fft // 2, n_fft // 2), pad_mode), 1)
    length = rows.shape[-1]
    if not 0 < n_fft <= length:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {length}, but got n_fft={n_fft}")
    weights = _window("stft", window, width, n_fft, input)
    starts = np.arange(0, length - n_fft + 1, hop)
    frames = rows[:, like(starts[:, None] + np.arange(n_fft), input)]
    frames = frames if weights is None else e.mul(frames, weights)
    half = not is_complex and not frames.is_complex() if onesided is None else onesided
    if half and frames.is_complex():
        raise RuntimeError("stft: cannot have onesided output if window or input is complex")
    spectra = (rfft if half else fft)(frames, norm="ortho" if normalized else None)
    spectra = transpose(spectra, 1, 2)
    spectra = squeeze(spectra, 0) if input.ndim == 1 else spectra
    return spectra if return_complex or return_complex is None else view_as_real(spectra)


def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The signal from the spectra of its frames, by least squares (Griffin and Lim 1984); see `stft`."""
    if not input.is_complex():
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft")
    if input.ndim not in (2, 3) or not input.numel():
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions and elements, got {list(input.shape)}")
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if not 0 < hop <= width <= n_fft:
        raise RuntimeError(f"istft: expected 0 < hop_length <= win_length <= n_fft, got {hop}, {width}, {n_fft}")
    spectra = transpose(unsqueeze(input, 0) if input.ndim == 2 else input, 1, 2)
    half = (spectra.shape[-1] != n_fft) if onesided is None else onesided
    if spectra.shape[-1] != (n_fft // 2 + 1 if half else n_fft):
        raise RuntimeError(f"istft: {spectra.shape[-1]} frequencies do not fit n_fft={n_fft}, onesided={half}")
    norm = "ortho" if normalized else None
    if return_complex:
        frames = ifft(spectra, norm=norm)
    else:  # of a real signal half the spectrum says all
        frames = irfft(narrow(spectra, -1, 0, n_fft // 2 + 1), n_fft, norm=norm)
    weights = _window("istft", window, width, n_fft, frames)
    if weights is None:
        weights = like(np.ones(n_fft, frames.real._data.dtype), frames)
    count = frames.shape[1]
    places = like((np.arange(count)[:, None] * hop + np.arange(n_fft)).reshape(-1), frames)
    samples = n_fft + hop * (count - 1)
    signal = _overlapped(e.mul(frames, weights), places, samples)
    squares = e.mul(like(np.ones((1, count, 1), frames.real._data.dtype), frames), e.mul(weights, weights))
    envelope = _overlapped(squares, places, samples)
    start = n_fft // 2 if center else 0
    stop = samples - start if length is None and center else samples if length is None else start + length
    kept = min(stop, samples) - start
    signal, envelope = narrow(signal, 1, start, kept), narrow(envelope, 1, start, kept)
    if float(np.abs(envelope._data).min()) <= 1e-11:
        raise RuntimeError("istft: window overlap add min is zero: some samples lie in no frame")
    signal = e.div(signal, envelope)
    if stop > samples:
        signal = pad(signal, (0, stop - samples))
    return squeeze(signal, 0) if input.ndim == 2 else signal


def _overlapped(frames: Any, places: Any, samples: int) -> Any:
    """Frames (N, T, L) added up where they overlap: (N, samples)."""
    zeros = like(np.zeros((frames.shape[0], samples), frames._data.dtype), frames)
    return index_add(zeros, 1, places, reshape(frames, frames.shape[0], -1))


def _window(name: str, window: Any, width: int, n_fft: int, source: Any) -> Any:
    """The window in the middle of a frame."""
    if not 0 < width <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={width}")
    if window is None:
        if width == n_fft:
            return None
        window = like(np.ones(width, source.real._data.dtype), source)
    elif window.ndim != 1 or window.shape[0] != width:
        raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to win_length={width}")
    left = (n_fft - width) // 2
    return pad(window, (left, n_fft - width - left)) if width < n_fft else window
