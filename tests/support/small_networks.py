"""Small networks built from a module with torch's names, so that this library and PyTorch can be compared on them."""

from typing import Any


def unet(m: Any, rank: int = 2, norm: str = "InstanceNorm", channels: int = 4) -> Any:
    """One level down and up, with a skip: (N, 1, *size) to (N, 2, *size)."""
    conv = getattr(m.nn, f"Conv{rank}d")
    up = getattr(m.nn, f"ConvTranspose{rank}d")
    pool = getattr(m.nn, f"MaxPool{rank}d")
    normal = getattr(m.nn, f"{norm}{rank}d") if norm != "GroupNorm" else lambda count: m.nn.GroupNorm(2, count)

    def block(inputs: int, outputs: int) -> Any:
        return m.nn.Sequential(conv(inputs, outputs, 3, padding=1), normal(outputs), m.nn.LeakyReLU(0.01))

    class UNet(m.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.top = block(1, channels)
            self.pool = pool(2)
            self.bottom = block(channels, 2 * channels)
            self.up = up(2 * channels, channels, 2, stride=2)
            self.join = block(2 * channels, channels)
            self.head = conv(channels, 2, 1)

        def forward(self, x: Any) -> Any:
            skip = self.top(x)
            deep = self.up(self.bottom(self.pool(skip)))
            return self.head(self.join(m.cat([skip, deep], 1)))

    return UNet()


def transformer(m: Any, symbols: int = 8, width: int = 16) -> Any:
    """A classifier of every position: (N, length) of symbols to (N, length, symbols)."""

    class Transformer(m.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed = m.nn.Embedding(symbols, width)
            self.attend = m.nn.MultiheadAttention(width, 2, batch_first=True)
            self.first = m.nn.LayerNorm(width)
            self.wide = m.nn.Linear(width, 2 * width)
            self.narrow = m.nn.Linear(2 * width, width)
            self.second = m.nn.LayerNorm(width)
            self.head = m.nn.Linear(width, symbols)

        def forward(self, x: Any) -> Any:
            x = self.embed(x)
            x = self.first(x + self.attend(x, x, x, need_weights=False)[0])
            x = self.second(x + self.narrow(m.nn.functional.gelu(self.wide(x))))
            return self.head(x)

    return Transformer()
