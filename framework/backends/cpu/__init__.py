"""CPU kernels by op name, resolved on first use. Each takes the op's arguments as NumPy arrays or answers NotImplemented."""

KERNELS: dict[str, str] = {
    "conv": "framework.backends.cpu.conv:conv",
    "conv_grad_input": "framework.backends.cpu.conv:conv_grad_input",
    "conv_grad_weight": "framework.backends.cpu.conv:conv_grad_weight",
}
