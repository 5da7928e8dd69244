"""UCI splice junctions: accuracy of ten-fold cross-validation, beside a linear model on the same one-hot codes.

    python benchmarks/sequences_splice.py /path/to/splice_dedup.tsv [--seeds 3] [--folds 10]

Each fold holds a tenth out of its training part to choose the epoch; the answer is the mean of `seeds` networks.
"""

import argparse
import csv
import time

import numpy as np
from scipy.optimize import minimize

import bio
import framework as vh
from bio.networks import CNN
from framework import nn, optim
from framework.nn import functional as F


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """One-hot codes (N, 4, 60) and classes (N,)."""
    with open(path, newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row]
    column = next(i for i, value in enumerate(rows[1]) if len(value) >= 50)
    rows = [row for row in rows if len(row[column]) >= 50 and set(row[column].upper()) <= set("ACGTNRYSWKMBDHV")]
    names = sorted({row[1 - column] for row in rows})
    codes = np.stack([bio.one_hot(row[column], "split") for row in rows]).astype(np.float32)
    return codes, np.array([names.index(row[1 - column]) for row in rows])


def folds_of(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A fold for each row, classes spread evenly."""
    stream, fold = np.random.default_rng(seed), np.empty(len(labels), int)
    for label in np.unique(labels):
        rows = stream.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % count
    return fold


def linear(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes by logistic regression with a ridge of one."""
    flat, classes = np.c_[x.reshape(len(x), -1), np.ones(len(x))], int(y.max()) + 1
    target = np.eye(classes)[y]

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        w = weights.reshape(flat.shape[1], classes)
        scores = flat @ w
        scores -= scores.max(1, keepdims=True)
        log = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        gradient = flat.T @ (np.exp(log) - target) + np.r_[w[:-1], np.zeros((1, classes))]
        return -(log * target).sum() + (w[:-1] ** 2).sum() / 2, gradient.ravel()

    best = minimize(objective, np.zeros(flat.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return (np.c_[test.reshape(len(test), -1), np.ones(len(test))] @ best.x.reshape(-1, classes)).argmax(1)


def train(x: np.ndarray, y: np.ndarray, held: tuple[np.ndarray, np.ndarray], seed: int, epochs: int) -> nn.Module:
    """The network of the epoch with the lowest loss on `held`."""
    vh.manual_seed(seed)
    stream = np.random.default_rng(seed)
    net = CNN(4, 3, (64, 64), (9, 7), (1, 3), 96, 0.5, length=x.shape[2])
    optimizer = optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    steps = epochs * (len(x) // 64)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    best, kept = np.inf, {}
    for _ in range(epochs):
        net.train()
        order = stream.permutation(len(x))[: len(x) // 64 * 64].reshape(-1, 64)
        for rows in order:
            codes = x[rows]
            changed = stream.random((len(rows), 1, codes.shape[2])) < 0.1  # letters hidden, not replaced
            loss = F.cross_entropy(
                net(vh.tensor(np.where(changed, 0.25, codes).astype(np.float32))),
                vh.tensor(y[rows]),
                label_smoothing=0.05,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with vh.no_grad():
            loss = float(F.cross_entropy(net(vh.tensor(held[0])), vh.tensor(held[1])))
        if loss < best:
            best, kept = loss, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    x, y = read(options.path)
    fold = folds_of(y, 10, 0)
    right, floor, seen, begin = 0, 0, 0, time.perf_counter()
    for number in range(options.folds):
        test, rest = fold == number, fold != number
        inner = folds_of(y[rest], 10, 1) == 0
        part, held = (x[rest][~inner], y[rest][~inner]), (x[rest][inner], y[rest][inner])
        answer = np.zeros((int(test.sum()), 3))
        for seed in range(options.seeds):
            net = train(*part, held, seed, options.epochs)
            with vh.no_grad():
                answer += F.softmax(net(vh.tensor(x[test])), 1).numpy()
        right += int((answer.argmax(1) == y[test]).sum())
        floor += int((linear(x[rest], y[rest], x[test]) == y[test]).sum())
        seen += int(test.sum())
        print(
            f"fold {number}: {right / seen:.4f} so far (linear {floor / seen:.4f}), "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
