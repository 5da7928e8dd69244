"""CPU kernels by op name, resolved on first use: each takes the op's arguments as arrays or answers NotImplemented."""

KERNELS: dict[str, str] = {
    "conv": "framework.backends.cpu.conv:conv",
    "conv_grad_input": "framework.backends.cpu.conv:conv_grad_input",
    "conv_grad_weight": "framework.backends.cpu.conv:conv_grad_weight",
    "matmul": "framework.backends.cpu.matmul:matmul",
    "norm_act": "framework.backends.cpu.norm:norm_act",
    "norm_act_grad": "framework.backends.cpu.norm:norm_act_grad",
    "leaky_relu": "framework.backends.cpu.update:leaky_relu",
    "leaky_relu_grad": "framework.backends.cpu.update:leaky_relu_grad",
    "max_pool": "framework.backends.cpu.pool:max_pool",
    "softmax_cross_entropy": "framework.backends.cpu.loss:softmax_cross_entropy",
    "softmax_cross_entropy_grad": "framework.backends.cpu.loss:softmax_cross_entropy_grad",
    "sum": "framework.backends.cpu.reduce:sum",
    "foreach_sgd": "framework.backends.cpu.update:foreach_sgd",
    "scaled_sum": "framework.backends.cpu.vectors:scaled_sum",
    "ordered_dot": "framework.backends.cpu.vectors:ordered_dot",
    "foreach_update": "framework.backends.cpu.update:foreach_update",
    "foreach_adam": "framework.backends.cpu.update:foreach_adam",
    "foreach_unscale": "framework.backends.cpu.update:foreach_unscale",
}
