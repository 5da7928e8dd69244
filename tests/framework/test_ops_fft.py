"""Fourier transforms against PyTorch: every function, normalisation, length and derivative."""

from typing import Any

import numpy as np
import pytest

import framework as vh
from framework.autograd import gradgradcheck

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

COMPLEX = ["fft", "ifft", "fft2", "ifft2", "fftn", "ifftn"]
FROM_REAL = ["rfft", "ihfft", "rfft2", "ihfft2", "rfftn", "ihfftn"]
TO_REAL = ["irfft", "hfft", "irfft2", "hfft2", "irfftn", "hfftn"]


def source(name: str) -> np.ndarray[Any, Any]:
    stream = np.random.default_rng(0)
    array = stream.standard_normal((2, 5, 6))
    return array if name in FROM_REAL else array + 1j * stream.standard_normal(array.shape)


def compare(name: str, array: np.ndarray[Any, Any], **arguments: Any) -> None:
    def run(module: Any) -> list[Any]:
        tensor = module.tensor(array).requires_grad_()
        out = getattr(module.fft, name)(tensor, **arguments)
        weight = module.tensor(np.random.default_rng(1).standard_normal(tuple(out.shape)))
        (out * weight).abs().square().sum().backward()
        return [each.detach().resolve_conj().numpy() for each in (out, tensor.grad)]

    for ours, theirs in zip(run(vh), run(torch)):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", [None, "forward", "ortho"])
@pytest.mark.parametrize("name", COMPLEX + FROM_REAL + TO_REAL)
def test_values_and_gradients_match_torch(name: str, norm: str | None) -> None:
    compare(name, source(name), norm=norm)


@pytest.mark.parametrize("name", COMPLEX + FROM_REAL + TO_REAL)
@pytest.mark.parametrize("length", [4, 7])
def test_lengths_cut_and_pad(name: str, length: int) -> None:
    if name.endswith(("2", "n")):
        compare(name, source(name), s=(3, length), dim=(0, 1))
    else:
        compare(name, source(name), n=length, dim=1)


@pytest.mark.parametrize("name", ["fftn", "rfftn", "irfftn", "hfft", "ihfft2"])
def test_second_gradients_match_finite_differences(name: str) -> None:
    tensor = vh.tensor(source(name).real[:1, :3, :3].copy()).requires_grad_()
    assert gradgradcheck(lambda t: getattr(vh.fft, name)(t).abs().square().square().sum(), [tensor], atol=1e-3)


def test_single_precision_and_whole_numbers() -> None:
    assert vh.fft.fft(vh.ones(4)).dtype is vh.complex64
    assert vh.fft.rfft(vh.arange(4)).dtype is vh.complex64
    assert vh.fft.irfft(vh.ones(3, dtype=vh.complex64)).dtype is vh.float32


def test_shifts_and_frequencies() -> None:
    array = np.arange(30.0).reshape(5, 6)
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 0, (1,)):
            ours = getattr(vh.fft, name)(vh.tensor(array), dim=dim).numpy()
            np.testing.assert_array_equal(ours, getattr(torch.fft, name)(torch.tensor(array), dim=dim).numpy())
    for name in ("fftfreq", "rfftfreq"):
        ours = getattr(vh.fft, name)(7, 0.5)
        np.testing.assert_allclose(ours.numpy(), getattr(torch.fft, name)(7, 0.5).numpy(), rtol=1e-6)


def test_bad_input_is_refused() -> None:
    x = vh.ones(4)
    with pytest.raises(RuntimeError, match="normalization"):
        vh.fft.fft(x, norm="none")
    with pytest.raises(RuntimeError, match="number of data points"):
        vh.fft.fft(x, n=0)
    with pytest.raises(RuntimeError, match="real input"):
        vh.fft.rfft(vh.ones(4, dtype=vh.complex64))
    with pytest.raises(RuntimeError, match="unique"):
        vh.fft.fftn(vh.ones(2, 2), dim=(0, 0))
    with pytest.raises(IndexError):
        vh.fft.fft(x, dim=2)


WINDOWS: list[tuple[str, dict[str, Any]]] = [
    ("hann", {}), ("hamming", {}), ("blackman", {}), ("nuttall", {}), ("bartlett", {}), ("cosine", {}),
    ("gaussian", {"std": 2.0}), ("exponential", {"tau": 3.0}), ("kaiser", {"beta": 5.0}),
    ("general_cosine", {"a": [0.4, 0.5, 0.1]}), ("general_hamming", {"alpha": 0.6}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), WINDOWS, ids=[name for name, _ in WINDOWS])
def test_windows(name: str, arguments: dict[str, Any]) -> None:
    for length in (0, 1, 6, 9):
        for sym in (False, True):
            ours = getattr(vh.signal.windows, name)(length, sym=sym, dtype=vh.float64, **arguments)
            theirs = getattr(torch.signal.windows, name)(length, sym=sym, dtype=torch.float64, **arguments)
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)
    np.testing.assert_allclose(vh.hann_window(8).numpy(), torch.hann_window(8).numpy(), atol=1e-6)
    np.testing.assert_allclose(vh.kaiser_window(8).numpy(), torch.kaiser_window(8).numpy(), atol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"normalized": True}, {"center": False}, {"onesided": False}], ids=str)
def test_spectra_of_frames(arguments: dict[str, Any]) -> None:
    array = np.random.default_rng(0).standard_normal((2, 40))

    def run(module: Any) -> list[Any]:
        x, window = module.tensor(array).requires_grad_(), module.hann_window(6, dtype=module.float64)
        out = module.stft(x, 8, 3, 6, window, return_complex=True, **arguments)
        out.abs().square().square().sum().backward()
        return [out.detach().numpy(), x.grad.numpy()]

    for ours, theirs in zip(run(vh), run(torch)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_a_signal_comes_back_from_its_frames() -> None:
    signal = vh.tensor(np.random.default_rng(0).standard_normal(50)).requires_grad_()
    window = vh.hann_window(8, dtype=vh.float64)
    spectra = vh.stft(signal, 8, 2, window=window, return_complex=True)
    back = vh.istft(spectra, 8, 2, window=window, length=50)
    np.testing.assert_allclose(back.detach().numpy(), signal.detach().numpy(), atol=1e-12)
    back.square().sum().backward()
    np.testing.assert_allclose(signal.grad.numpy(), 2 * signal.detach().numpy(), atol=1e-10)
    with pytest.raises(RuntimeError, match="no frame"):
        vh.istft(spectra, 8, 8, window=window)
