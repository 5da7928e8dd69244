"""Maximum pooling in the kernel language."""

from __future__ import annotations

from framework.backends.cpu.lang import Float, Int, Pointer, fetch_add, pointer
from framework.backends.cpu.machine import kernel


@kernel
def max_pool(
    counter: Pointer[Int], jobs: Int, x: Int, y: Pointer[Float], index: Pointer[Int], plan: Pointer[Int], scratch: Int,
) -> None:  # fmt: skip
    """Largest value under the window and its position in the volume; a job is one row of positions, all channels.

    A later value wins only if it is larger or not a number, as in PyTorch.
    """
    nz = plan[0]
    ny = plan[1]
    nx = plan[2]
    kz = plan[3]
    ky = plan[4]
    kx = plan[5]
    channels = plan[6]
    x_image = plan[7]
    in_z = pointer(Int, plan[8])
    in_y = pointer(Int, plan[9])
    in_x = pointer(Int, plan[10])
    at_z = pointer(Int, plan[11])
    at_y = pointer(Int, plan[12])
    at_x = pointer(Int, plan[13])
    while True:
        job = fetch_add(counter, 1)
        if job >= jobs:
            return
        py = job % ny
        pz = job // ny % nz
        image = x + job // ny // nz * x_image
        for px in range(nx):
            value = y + (job * nx + px) * channels
            place = index + (job * nx + px) * channels
            empty = 1
            for i in range(kz):
                for j in range(ky):
                    for k in range(kx):
                        up = in_z[pz * kz + i]
                        across = in_y[py * ky + j]
                        along = in_x[px * kx + k]
                        if up + across + along >= 0:
                            here = pointer(Float, image + up + across + along)
                            number = at_z[pz * kz + i] + at_y[py * ky + j] + at_x[px * kx + k]
                            if empty:
                                for c in range(channels):
                                    value[c] = here[c]
                                    place[c] = number
                                empty = 0
                            else:
                                for c in range(channels):
                                    v = here[c]
                                    best = value[c]
                                    wins = 1 if v > best else (1 if v != v else 0)
                                    value[c] = v if wins else best
                                    place[c] = number if wins else place[c]
