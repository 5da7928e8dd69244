"""The summary table against counts by hand."""

import io

import pytest

import framework
from framework import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.act = nn.ReLU()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 5, 3))
        self.conv.weight.requires_grad_(False)

    def forward(self, x, scale=None):
        return self.act(self.head(self.act(self.conv(x))))


def test_counts_by_hand() -> None:
    net = Net().train()
    found = nn.summary(net, (2, 2, 6, 5))
    rows = [(row.name, row.kind, row.depth, row.output, row.parameters, row.mult_adds) for row in found.layers]
    conv, linear = 2 * 4 * 30 * 2 * 9, 2 * 3 * 120
    assert rows == [
        ("model", "Net", 0, "2×3", 72 + 363, conv + linear),
        ("conv", "Conv2d", 1, "2×4×6×5", 72, conv),
        ("act", "ReLU", 1, "2×4×6×5", 0, 0),
        ("head", "Sequential", 1, "2×3", 363, linear),
        ("0", "Flatten", 2, "2×120", 0, 0),
        ("1", "Linear", 2, "2×3", 363, linear),
        ("act", "ReLU", 1, "2×3", 0, 0),
    ]
    assert [row.repeated for row in found.layers] == [False] * 6 + [True]
    assert (found.parameters, found.trainable, found.mult_adds, found.flops) == (435, 363, 5040, 10080)
    assert found.input_bytes == 4 * 120
    assert found.parameter_bytes == 4 * 435
    assert found.activation_bytes == 4 * (240 + 240 + 240 + 6 + 6)
    assert net.training
    assert not net._forward_hooks
    assert not net.conv._forward_pre_hooks


LAYERS = {
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 3, 2, groups=2), (2, 4, 5), 2 * 4 * 5 * 3 * 3),
    "grouped": (lambda: nn.Conv1d(4, 6, 3, groups=2), (2, 4, 5), 2 * 6 * 3 * 2 * 3),
    "recurrent": (lambda: nn.LSTM(3, 4, 2, bidirectional=True), (5, 2, 3), 10 * (2 * 16 * 7 + 2 * 16 * 12)),
    "cell": (lambda: nn.GRUCell(3, 4), (2, 3), 2 * 12 * 7),
    "bilinear": (lambda: nn.Bilinear(2, 3, 4), [(5, 2), (5, 3)], 5 * 4 * 2 * 4),
    "attention": (
        lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True),
        [(2, 5, 8), (2, 7, 6), (2, 7, 4)],
        10 * 64 * 2 + 14 * 8 * 6 + 14 * 8 * 4 + 2 * 10 * 7 * 8,
    ),
    "lazy": (lambda: nn.LazyLinear(4), (2, 3), 24),
}


@pytest.mark.parametrize("name", LAYERS)
def test_multiply_adds_by_hand(name: str) -> None:
    make, shapes, expected = LAYERS[name]
    assert nn.summary(make(), shapes).mult_adds == expected


def test_the_table_as_text() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1000))
    text = str(nn.summary(net, framework.ones(4, 3), depth=1))
    assert text.splitlines() == [
        "Layer               Output shape  Parameters  Mult-adds",
        "───────────────────────────────────────────────────────",
        "model (Sequential)  4×1000             4,006       12 k",
        "  0 (BatchNorm1d)   4×3                    6          -",
        "  1 (Linear)        4×1000             4,000       12 k",
        "───────────────────────────────────────────────────────",
        "Parameters 4,006 (trainable 4,006, frozen 0); buffers 7",
        "Mult-adds 12 k (24 kFLOPs)",
        "Memory 31.4 KiB: input 48 B, parameters and buffers 15.7 KiB, activations for training 15.7 KiB",
    ]
    assert len(str(nn.summary(net, (4, 3), depth=0)).splitlines()) == 7
    assert net[0].num_batches_tracked.item() == 0  # looking leaves batch statistics alone


def test_the_table_for_terminals_and_notebooks() -> None:
    console = pytest.importorskip("rich.console").Console(width=90, record=True, file=io.StringIO())
    found = nn.summary(Net(), (1, 2, 6, 5))
    console.print(found)
    shown = console.export_text()
    assert "conv (Conv2d)" in shown
    assert "Mult-adds 2.52 k (5.04 kFLOPs)" in shown
    assert "<td>  conv (Conv2d)</td>" in found._repr_html_()


def test_a_failing_model_loses_its_hooks_too() -> None:
    net = Net()
    with pytest.raises(RuntimeError):
        nn.summary(net, (1, 3, 6, 5))
    assert not net.head._forward_hooks
    for wrong in ("abc", 3, [(1, 2), "abc"]):
        with pytest.raises(TypeError, match="summary takes"):
            nn.summary(net, wrong)
