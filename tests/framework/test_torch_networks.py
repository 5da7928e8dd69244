"""Networks written for PyTorch run unchanged: the same file, the same weights, the same outputs and gradients.

This library takes PyTorch's name in a process of its own, since both cannot have it at once.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import framework

SOURCE = Path(__file__).resolve().parents[1] / "support" / "torch_networks.py"
NUMBERS = np.random.default_rng(0)
INPUTS = {
    "ResNet": NUMBERS.standard_normal((2, 3, 48, 40)),
    "UNet": NUMBERS.standard_normal((1, 1, 9, 8, 10)),
    "Tagger": np.array([[3, 5, 1, 0, 0], [2, 4, 6, 7, 9], [8, 0, 0, 0, 0]]),
    "GPT": NUMBERS.integers(0, 20, (2, 9)),
    "ViT": NUMBERS.standard_normal((2, 3, 32, 32)),
}
ALONE = f"""
import runpy, sys
import framework
from framework.compat import as_torch
with as_torch():
    networks = runpy.run_path({str(SOURCE)!r})
    import torch, torch.utils.data, torch.optim
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.utils import _pair
    assert torch.nn.Linear is framework.nn.Linear and issubclass(torch.nn.BatchNorm2d, _BatchNorm)
    assert _pair(3) == (3, 3) and isinstance(torch.LongTensor([1]), torch.LongTensor)
    for absent in ("torch.nothing", "torch.nn.nothing"):
        try:
            __import__(absent)
        except ModuleNotFoundError as error:
            assert "framework has no module under the name " + absent in str(error)
        else:
            raise SystemExit("found " + absent)
    try:
        torch.nothing
    except AttributeError as error:
        assert "framework has nothing under the name torch.nothing" in str(error)
net = networks["ResNet"]()
assert isinstance(net, framework.nn.Module)
net(framework.randn(1, 3, 32, 32)).sum().backward()
assert not [name for name in sys.modules if name.split(".")[0] == "torch"]
"""
BESIDE = """
import runpy, sys
import numpy as np
from framework.compat import as_torch
source, folder, *names = sys.argv[1:]
with as_torch():
    networks = runpy.run_path(source)
for name in names:
    net = networks[name]().double()
    net.load_state_dict(dict(np.load(f"{folder}/{name}.state.npz")))
    np.savez(f"{folder}/{name}.ours.npz", **networks["trained"](net, np.load(f"{folder}/{name}.npy")))
    with open(f"{folder}/{name}.txt", "w") as file:
        file.write(repr(net))
"""


def test_in_a_process_without_pytorch() -> None:
    ran = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.oracle
def test_not_beside_pytorch_itself() -> None:
    pytest.importorskip("torch")
    with (
        pytest.raises(RuntimeError, match="PyTorch is already imported in this process"),
        framework.compat.as_torch(),
    ):
        pass


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """For each network: PyTorch's text and results, and this library's with the same weights."""
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("torch_networks", SOURCE)
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    folder, reference = tmp_path_factory.mktemp("networks"), {}
    for name, array in INPUTS.items():
        net = getattr(networks, name)().double()
        np.save(folder / f"{name}.npy", array)
        np.savez(folder / f"{name}.state.npz", **{key: value.numpy() for key, value in net.state_dict().items()})
        reference[name] = (networks.trained(net, array), repr(net))
    command = [sys.executable, "-c", BESIDE, str(SOURCE), str(folder), *INPUTS]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return {
        name: (*reference[name], dict(np.load(folder / f"{name}.ours.npz")), (folder / f"{name}.txt").read_text())
        for name in INPUTS
    }


@pytest.mark.oracle
@pytest.mark.parametrize("name", INPUTS)
def test_outputs_gradients_and_statistics_are_pytorchs(name: str, compared: dict) -> None:
    reference, text, mine, our_text = compared[name]
    assert our_text == text.replace("NonDynamicallyQuantizableLinear", "Linear")
    assert list(mine) == list(reference)
    for key, value in reference.items():
        np.testing.assert_allclose(mine[key], value, rtol=1e-6, atol=1e-9, err_msg=key)
