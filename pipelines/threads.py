"""How many processor threads to use."""


def use_threads(count: int | None) -> None:
    """Use `count` threads for kernels from now on; None leaves the default (all)."""
    if count is not None:
        import framework

        framework.set_num_threads(count)
