"""Training steps of sequence models beside torch: a transformer encoder, a dilated residual net, an LSTM.

    python benchmarks/sequence_steps.py [--only encoder]

Encoder: 6 layers, 384 wide, 6 heads, feed-forward 1536, GELU, 512 tokens, batch 8. Dilated: 32 wide, kernel 11, eight
residual blocks with dilation up to 10, on 4 x 10,000 one-hot bases. LSTM: 2 layers, bidirectional, 256, on 32 x 200.
Both contestants run the same source; torch's convolutions are plain, for its channels-last has no one-dimensional form.
"""

from collections.abc import Callable
from typing import Any

import peer


def encoder(library: str) -> Callable[[], Any]:
    torch = _import(library)
    nn = torch.nn
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(384, 6, 1536, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    network = nn.Sequential(nn.Embedding(32, 384), nn.TransformerEncoder(layer, 6, enable_nested_tensor=False))
    head = nn.Linear(384, 32)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    tokens = torch.randint(0, 32, (8, 512))

    def loss() -> Any:
        return nn.functional.cross_entropy(head(network(tokens)).reshape(-1, 32), tokens.reshape(-1))

    return _step(optimizer, loss)


def dilated(library: str) -> Callable[[], Any]:
    torch = _import(library)
    nn = torch.nn
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, width: int, kernel: int, dilation: int) -> None:
            super().__init__()
            padding = dilation * (kernel - 1) // 2
            self.layers = nn.Sequential(
                nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation),
                nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation),
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return x + self.layers(x)

    dilations = (1, 1, 1, 1, 4, 4, 10, 10)
    network = nn.Sequential(nn.Conv1d(4, 32, 1), *(Block(32, 11, each) for each in dilations), nn.Conv1d(32, 3, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    bases = torch.randint(0, 4, (4, 10_000))
    x = nn.functional.one_hot(bases, 4).transpose(1, 2).float().contiguous()
    y = torch.randint(0, 3, (4, 10_000))
    return _step(optimizer, lambda: nn.functional.cross_entropy(network(x), y))


def lstm(library: str) -> Callable[[], Any]:
    torch = _import(library)
    nn = torch.nn
    torch.manual_seed(0)
    network = nn.LSTM(256, 256, 2, bidirectional=True, batch_first=True)
    head = nn.Linear(512, 8)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=1e-3)
    x = torch.randn(32, 200, 256)
    y = torch.randint(0, 8, (32 * 200,))
    return _step(optimizer, lambda: nn.functional.cross_entropy(head(network(x)[0]).reshape(-1, 8), y))


def _step(optimizer: Any, loss: Callable[[], Any]) -> Callable[[], Any]:
    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _import(library: str) -> Any:
    import importlib

    return importlib.import_module(library)


WORKS = {
    "encoder 6 x 384, 8 x 512 tokens": encoder,
    "dilated 1D residual, 4 x 10,000": dilated,
    "bidirectional LSTM 2 x 256, 32 x 200": lstm,
}


def main() -> None:
    options = peer.arguments(__doc__).parse_args()
    works = [peer.Work(name, lambda f=f: f("framework"), lambda f=f: f("torch")) for name, f in WORKS.items()]
    peer.run(works, options)


if __name__ == "__main__":
    main()
