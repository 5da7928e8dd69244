"""Learning-rate schedules beside torch's over many steps, their states exchanged with torch's, resumed exactly."""

import copy
import math

import numpy as np
import pytest

import framework
from framework import nn, optim
from framework.optim import lr_scheduler, swa_utils


class Halving:
    """A callable object: its attributes are part of the schedule's state."""

    def __init__(self, every):
        self.every, self.calls = every, 0

    def __call__(self, step):
        self.calls += 1
        return 0.5 ** (step // self.every)


SCHEDULES = {
    "lambda": lambda lr, o: lr.LambdaLR(o, lambda step: 0.95**step),
    "lambdas": lambda lr, o: lr.LambdaLR(o, [lambda step: 0.95**step, Halving(4)]),
    "multiplicative": lambda lr, o: lr.MultiplicativeLR(o, lambda step: 1 - 0.1 / (1 + step)),
    "step": lambda lr, o: lr.StepLR(o, 3, 0.5),
    "multistep": lambda lr, o: lr.MultiStepLR(o, [5, 2, 5, 20], 0.5),
    "constant": lambda lr, o: lr.ConstantLR(o, 0.25, 4),
    "linear": lambda lr, o: lr.LinearLR(o, 0.1, 0.9, 6),
    "exponential": lambda lr, o: lr.ExponentialLR(o, 0.9),
    "polynomial": lambda lr, o: lr.PolynomialLR(o, 8, 0.9),
    "cosine": lambda lr, o: lr.CosineAnnealingLR(o, 7, 1e-3),
    "restarts": lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 5),
    "longer restarts": lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 3, 2, 1e-3),
    "triangles": lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 4),
    "halved triangles": lambda lr, o: lr.CyclicLR(o, [0.01, 0.02], [0.1, 0.3], 3, 5, "triangular2"),
    "shrinking triangles": lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.95),
    "scaled triangles": lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 4, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "one cycle": lambda lr, o: lr.OneCycleLR(o, 0.5, total_steps=41),
    "one cycle, linear, three phases": lambda lr, o: lr.OneCycleLR(
        o, [0.5, 0.2], epochs=11, steps_per_epoch=4, three_phase=True, anneal_strategy="linear", pct_start=0.4
    ),
    "warm-up": lambda lr, o: lr.SequentialLR(
        o, [lr.LinearLR(o, 0.1, 1.0, 3), lr.PolynomialLR(o, 6, 0.9)], milestones=[3]
    ),
    "three in sequence": lambda lr, o: lr.SequentialLR(
        o, [lr.ConstantLR(o, 0.1, 20), lr.ExponentialLR(o, 0.9), lr.StepLR(o, 2, 0.5)], milestones=[3, 11]
    ),
    "chained": lambda lr, o: lr.ChainedScheduler([lr.ConstantLR(o, 0.5, 4), lr.ExponentialLR(o, 0.9)]),
    "warm-up within a sequence": lambda lr, o: lr.SequentialLR(
        o,
        [lr.SequentialLR(o, [lr.LinearLR(o, 0.2, 1.0, 4), lr.StepLR(o, 2)], [4]), lr.CosineAnnealingLR(o, 9)],
        milestones=[9],
    ),
    "to the rate of averages": lambda lr, o: lr.SWALR(o, 0.02, 7),
    "to the rates of averages, linear": lambda lr, o: lr.SWALR(o, [0.02, 0.5], 7, "linear"),
    "to the rate of averages at once": lambda lr, o: lr.SWALR(o, 0.02, 0),
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:The epoch parameter in"),
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),  # a sequence that begins with a sequence
]
each_schedule = pytest.mark.parametrize("which", SCHEDULES)


class Names:
    """The schedules of a library under one name."""

    def __init__(self, library):
        self.library = library

    def __getattr__(self, name):
        home = self.library.optim.swa_utils if name == "SWALR" else self.library.optim.lr_scheduler
        return getattr(home, name)


def make(which, library=framework, optimizer="SGD", tensor_rate=False):
    """An optimizer of two groups that has made no step, and a schedule on it."""
    params = [library.nn.Parameter(library.ones(2)) for _ in range(3)]
    settings = {"momentum": 0.9} if optimizer == "SGD" else {}
    rates = [library.tensor(rate, dtype=library.float64) if tensor_rate else rate for rate in (0.1, 0.05)]
    groups = [{"params": params[:2], "lr": rates[0]}, {"params": params[2:], "lr": rates[1]}]
    made = getattr(library.optim, optimizer)(groups, **settings)
    return made, SCHEDULES[which](Names(library), made)


def rates(optimizer):
    return [(float(g["lr"]), g["momentum"] if "momentum" in g else g["betas"][0]) for g in optimizer.param_groups]


def advance(optimizer, schedule, steps):
    seen = []
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        seen.append(rates(optimizer))
    return seen


@pytest.mark.oracle
@each_schedule
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_forty_steps_equal_torch(which, optimizer):
    torch = pytest.importorskip("torch")
    ours, theirs = make(which, optimizer=optimizer), make(which, torch, optimizer)
    np.testing.assert_allclose(rates(ours[0]), rates(theirs[0]), rtol=1e-12)
    np.testing.assert_allclose(advance(*ours, 40), advance(*theirs, 40), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(ours[1].get_last_lr(), theirs[1].get_last_lr(), rtol=1e-9, atol=1e-15)


@pytest.mark.oracle
@pytest.mark.parametrize("which", ["step", "linear", "cosine", "warm-up", "chained"])
def test_a_rate_that_is_a_tensor_is_changed_in_place(which):
    torch = pytest.importorskip("torch")
    ours, theirs = make(which, tensor_rate=True), make(which, torch, tensor_rate=True)
    kept = ours[0].param_groups[0]["lr"]
    np.testing.assert_allclose(advance(*ours, 12), advance(*theirs, 12), rtol=1e-9, atol=1e-15)
    assert ours[0].param_groups[0]["lr"] is kept
    assert kept is not ours[1].get_last_lr()[0]


def plain(value):
    """A state for comparison across libraries: bound methods and counters are not compared as such."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.oracle
@each_schedule
def test_states_exchange_with_torch_both_ways(which):
    torch = pytest.importorskip("torch")
    ours, theirs = make(which), make(which, torch)
    advance(*ours, 7), advance(*theirs, 7)
    own, wanted = ours[1].state_dict(), theirs[1].state_dict()
    assert own.keys() - {"_is_initial"} == wanted.keys() - {"_is_initial"}
    here, there = make(which), make(which, torch)
    for (optimizer, schedule), (source, state) in ((here, (theirs[0], wanted)), (there, (ours[0], own))):
        saved = source.state_dict()
        groups = [{k: v for k, v in g.items() if k != "params"} for g in saved["param_groups"]]
        for group, values in zip(optimizer.param_groups, groups):
            group.update(copy.deepcopy(values))
        schedule.load_state_dict(copy.deepcopy(state))
    expected = advance(*theirs, 10)
    np.testing.assert_allclose(advance(*here, 10), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(advance(*there, 10), expected, rtol=1e-9, atol=1e-15)


@each_schedule
def test_a_schedule_resumed_from_a_file_is_exact(which, tmp_path):
    optimizer, schedule = make(which)
    advance(optimizer, schedule, 4)
    framework.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, tmp_path / "run")
    saved = framework.load(tmp_path / "run")
    wanted = advance(optimizer, schedule, 9)
    again, resumed = make(which)
    again.load_state_dict(saved["optimizer"])
    resumed.load_state_dict(saved["schedule"])
    assert advance(again, resumed, 9) == wanted


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["StepLR", "LinearLR", "CosineAnnealingLR", "PolynomialLR", "ExponentialLR"])
def test_last_epoch_continues_as_in_torch(name):
    torch = pytest.importorskip("torch")
    arguments = {"StepLR": (3,), "CosineAnnealingLR": (9,), "ExponentialLR": (0.9,)}.get(name, ())
    seen = []
    for library in (framework, torch):
        group = {"params": [library.nn.Parameter(library.ones(2))], "lr": 0.03, "initial_lr": 0.1}
        optimizer = library.optim.SGD([group], lr=0.1, momentum=0.9)
        schedule = getattr(library.optim.lr_scheduler, name)(optimizer, *arguments, last_epoch=4)
        seen.append([rates(optimizer), *advance(optimizer, schedule, 8)])
    np.testing.assert_allclose(*seen, rtol=1e-9, atol=1e-15)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "LinearLR", "CosineAnnealingLR", "ExponentialLR"])
def test_going_to_an_epoch_is_the_closed_form(name):
    torch = pytest.importorskip("torch")
    arguments = {
        "StepLR": (3,), "MultiStepLR": ([2, 4],), "CosineAnnealingLR": (9,), "ExponentialLR": (0.9,),
    }.get(name, ())  # fmt: skip
    seen = []
    for library in (framework, torch):
        optimizer = library.optim.SGD([library.nn.Parameter(library.ones(2))], lr=0.1, momentum=0.9)
        schedule = getattr(library.optim.lr_scheduler, name)(optimizer, *arguments)
        optimizer.step()
        for epoch in (5, 2, 7):
            schedule.step(epoch)
            seen.append(rates(optimizer))
    np.testing.assert_allclose(seen[:3], seen[3:], rtol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("multiple", [1, 2])
def test_restarts_at_fractions_of_an_epoch(multiple):
    torch = pytest.importorskip("torch")
    seen = []
    for library in (framework, torch):
        optimizer = library.optim.SGD([library.nn.Parameter(library.ones(2))], lr=0.1, momentum=0.9)
        schedule = library.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, multiple)
        for quarter in range(60):
            schedule.step(quarter / 4)
            seen.append(rates(optimizer))
    np.testing.assert_allclose(seen[:60], seen[60:], rtol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("least", [1e-2, [1e-2, 4e-2]])
def test_plateau_equals_torch(mode, threshold_mode, least):
    torch = pytest.importorskip("torch")
    settings = {
        "mode": mode, "factor": 0.5, "patience": 1, "threshold": 0.1,
        "threshold_mode": threshold_mode, "cooldown": 1, "min_lr": least,
    }  # fmt: skip
    metrics = [1.0, 0.95, 0.85, 0.99, 1.05, 1.2, 1.3, 1.31, 1.3, 0.2, 0.2, 0.2, 0.2, math.nan, -1.0, -1.2, 0.0]
    runs = []
    for library in (framework, torch):
        params = [library.nn.Parameter(library.ones(2)) for _ in range(2)]
        optimizer = library.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], lr=0.1)
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        seen = []
        for metric in metrics:
            schedule.step(metric)
            seen.append([*schedule.get_last_lr(), schedule.num_bad_epochs, schedule.cooldown_counter, schedule.best])
        runs.append((seen, schedule.state_dict()))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-12)
    assert plain(runs[0][1]) == plain(runs[1][1])


def test_a_resumed_plateau_goes_on(tmp_path):
    params = [nn.Parameter(framework.ones(2))]
    optimizer = optim.SGD(params, lr=0.1)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    for metric in (1.0, 2.0):
        schedule.step(metric)
    framework.save(schedule.state_dict(), tmp_path / "state")
    resumed = lr_scheduler.ReduceLROnPlateau(optimizer)
    resumed.load_state_dict(framework.load(tmp_path / "state"))
    resumed.step(2.0)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_a_group_added_later_belongs_to_a_plateau():
    optimizer = optim.SGD([nn.Parameter(framework.ones(2))], lr=0.1)
    plateaus = [lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=least) for least in (0, [0.0])]
    optimizer.add_param_group({"params": [nn.Parameter(framework.ones(1))]})
    for plateau in plateaus:
        plateau.step(1.0)
    plateaus[0].step(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.01])
    with pytest.raises(RuntimeError, match=r"number of param groups .* \(2\) differs"):
        plateaus[1].step(1.0)


def test_a_schedule_of_ones_own():
    class Root(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / math.sqrt(1 + self.last_epoch) for base in self.base_lrs]

    optimizer = optim.SGD([nn.Parameter(framework.ones(2))], lr=0.1)
    schedule = Root(optimizer)
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.1 / math.sqrt(2)]


def test_schedules_warn_as_torch_does():
    _, schedule = make("step")
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        schedule.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        schedule.get_lr()


WRONG = {
    "no optimizer": lambda lr, o: lr.StepLR(3, 1),
    "too few functions": lambda lr, o: lr.LambdaLR(o, [lambda step: 1.0]),
    "factor": lambda lr, o: lr.ConstantLR(o, 1.5),
    "start": lambda lr, o: lr.LinearLR(o, 0.0),
    "end": lambda lr, o: lr.LinearLR(o, 0.5, 1.5),
    "T_0": lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 0),
    "T_mult": lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 2, 0),
    "mode": lambda lr, o: lr.CyclicLR(o, 0.1, 0.2, mode="square"),
    "cyclic lengths": lambda lr, o: lr.CyclicLR(o, [0.1], 0.2),
    "neither steps nor epochs": lambda lr, o: lr.OneCycleLR(o, 0.1),
    "no steps": lambda lr, o: lr.OneCycleLR(o, 0.1, total_steps=0),
    "no epochs": lambda lr, o: lr.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3),
    "share": lambda lr, o: lr.OneCycleLR(o, 0.1, total_steps=4, pct_start=1.5),
    "strategy": lambda lr, o: lr.OneCycleLR(o, 0.1, total_steps=4, anneal_strategy="square"),
    "plateau factor": lambda lr, o: lr.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda lr, o: lr.ReduceLROnPlateau(o, "mean"),
    "plateau threshold": lambda lr, o: lr.ReduceLROnPlateau(o, threshold_mode="other"),
    "plateau rates": lambda lr, o: lr.ReduceLROnPlateau(o, min_lr=[0.1]),
    "milestones": lambda lr, o: lr.SequentialLR(o, [lr.StepLR(o, 1)], [1]),
    "an empty sequence": lambda lr, o: lr.SequentialLR(o, [], []),
    "an empty chain": lambda lr, o: lr.ChainedScheduler([]),
    "a plateau in a chain": lambda lr, o: lr.ChainedScheduler([lr.StepLR(o, 1), lr.ReduceLROnPlateau(o)]),
    "averages": lambda lr, o: lr.SWALR(o, 0.1, anneal_strategy="square"),
    "averages, steps": lambda lr, o: lr.SWALR(o, 0.1, -1),
}


@pytest.mark.oracle
@pytest.mark.parametrize("which", WRONG)
def test_wrong_settings_are_refused_in_the_words_of_torch(which):
    torch = pytest.importorskip("torch")
    messages = []
    for library in (framework, torch):
        params = [library.nn.Parameter(library.ones(2)) for _ in range(2)]
        optimizer = library.optim.SGD([{"params": params[:1]}, {"params": params[1:]}], lr=0.1, momentum=0.9)
        with pytest.raises((ValueError, TypeError), match=r".") as refused:
            WRONG[which](Names(library), optimizer)
        messages.append((type(refused.value), str(refused.value)))
    assert messages[0] == messages[1]


def test_more_refusals():
    optimizer, _ = make("step")
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optim.SGD([nn.Parameter(framework.ones(1))]), 1, last_epoch=5)
    with pytest.raises(ValueError, match="`cycle_momentum` option enabled"):
        lr_scheduler.OneCycleLR(optim.Adagrad([nn.Parameter(framework.ones(1))]), 0.1, total_steps=3)
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 1), make("step")[1]])
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2, cycle_momentum=False)
    advance(optimizer, cycle, 2)
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        cycle.step()
    with pytest.raises(NotImplementedError, match="LRScheduler does not define get_lr"):
        lr_scheduler.LRScheduler(optimizer)
    assert swa_utils.SWALR is Names(framework).SWALR
