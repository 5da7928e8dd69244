"""The Trainer: its loop beside one written by hand, its hooks, callbacks, logs and refusals."""

import csv
import math
import signal
from datetime import timedelta

import numpy as np
import pytest

import framework
from framework import nn, optim
from framework.data import DataLoader, TensorDataset
from framework.training import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateMonitor,
    Logger,
    ModelCheckpoint,
    ProgressBar,
    Supervised,
    TensorBoardLogger,
    Trainer,
    TrainingModule,
    TrainingStopped,
    WeightAveraging,
    find_learning_rate,
    seed_everything,
)

F = nn.functional


def points(count=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 3)).astype(np.float32)
    return TensorDataset(framework.from_numpy(x), framework.from_numpy(x.sum(1, keepdims=True)))


class Line(TrainingModule):
    """A linear model; `given` are settings of its optimizer."""

    def __init__(self, lr=0.05, schedule=None, interval="step"):
        super().__init__()
        framework.manual_seed(0)
        self.layer = nn.Linear(3, 1)
        self.lr, self.schedule, self.interval = lr, schedule, interval

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch[0]), batch[1])
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)
        if self.schedule is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer), "interval": self.interval},
        }


def quiet(**settings):
    return Trainer(**{"enable_progress_bar": False, "num_sanity_val_steps": 0, "max_epochs": 2, **settings})


def values(module):
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("accumulate", [1, 2, 4])
@pytest.mark.parametrize("clip", [None, ("norm", 0.3), ("value", 0.1)])
def test_a_fit_is_the_loop_written_by_hand(accumulate, clip):
    def schedule(optimizer):
        return optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    ours, other = Line(schedule=schedule), Line(schedule=schedule)
    data = DataLoader(points(), 4, shuffle=True, seed=1)
    settings = {"gradient_clip_algorithm": clip[0], "gradient_clip_val": clip[1]} if clip else {}
    trainer = quiet(accumulate_grad_batches=accumulate, **settings)
    trainer.fit(ours, data)

    made = other.configure_optimizers()
    optimizer, rate = made["optimizer"], made["lr_scheduler"]["scheduler"]
    loader, steps = DataLoader(points(), 4, shuffle=True, seed=1), 0
    for _ in range(2):
        for index, (x, y) in enumerate(loader):
            (F.mse_loss(other(x), y) / accumulate).backward()
            if (index + 1) % accumulate and index + 1 < len(loader):
                continue
            if clip and clip[0] == "norm":
                nn.utils.clip_grad_norm_(other.parameters(), clip[1])
            elif clip:
                nn.utils.clip_grad_value_(other.parameters(), clip[1])
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            steps += 1
    assert values(ours).tobytes() == values(other).tobytes()
    assert (trainer.global_step, trainer.current_epoch) == (steps, 2)


def test_means_are_weighted_by_batch_size_and_equal_a_calculation():
    module, data = Line(), points(10)
    metrics = quiet().validate(module, DataLoader(data, 4))  # 4, 4 and 2 points
    x, y = (t.numpy() for t in data.tensors)
    wanted = ((x @ module.layer.weight.detach().numpy().T + module.layer.bias.detach().numpy() - y) ** 2).mean()
    assert metrics == {"val_loss": pytest.approx(wanted, rel=1e-5)}
    assert quiet().test(module, [(data.tensors[0], data.tensors[1])]) == {"test_loss": pytest.approx(wanted, rel=1e-5)}
    outputs = quiet().predict(module, DataLoader(data, 4))
    assert [tuple(out.shape) for out in outputs] == [(4, 1), (4, 1), (2, 1)]
    assert not outputs[0].requires_grad


class Notes(Callback):
    """Writes down every event."""

    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if name.startswith("on_") or name in ("setup", "teardown"):
            seen = object.__getattribute__(self, "seen")
            return lambda trainer, module, *args: seen.append(name if name != "on_safe_point" else f"{name} {args[0]}")
        return object.__getattribute__(self, name)


def test_events_come_in_the_documented_order():
    notes = Notes()
    quiet(max_epochs=1, limit_train_batches=1, limit_val_batches=1, num_sanity_val_steps=1, callbacks=[notes]).fit(
        Line(), DataLoader(points(), 4), DataLoader(points(), 4)
    )
    validation = [
        "on_validation_start", "on_validation_epoch_start", "on_validation_batch_start", "on_validation_batch_end",
        "on_validation_epoch_end", "on_validation_end",
    ]  # fmt: skip
    assert notes.seen == [
        "setup", "on_fit_start", "on_sanity_check_start", *validation, "on_sanity_check_end", "on_train_start",
        "on_train_epoch_start", "on_train_batch_start", "on_before_backward", "on_after_backward",
        "on_before_optimizer_step", "on_before_zero_grad", "on_train_batch_end", "on_safe_point batch", *validation,
        "on_train_epoch_end", "on_safe_point epoch", "on_safe_point end", "on_train_end", "on_fit_end", "teardown",
    ]  # fmt: skip
    assert {name.split()[0] for name in notes.seen} <= set(dir(Callback))


def test_a_module_may_define_hooks_itself():
    class Own(Line):
        def on_train_epoch_end(self):
            self.log("epochs", self.current_epoch + 1)

        def on_before_optimizer_step(self, optimizer):
            self.norm = float(nn.utils.get_total_norm([p.grad for p in self.parameters()]))

    module = Own()
    trainer = quiet()
    trainer.fit(module, DataLoader(points(), 8))
    assert trainer.callback_metrics["epochs"] == 2
    assert module.norm > 0
    with pytest.raises(RuntimeError, match="not attached to a Trainer"):
        module.log("x", 1)


def test_training_goes_on_where_validation_found_it():
    class Modes(Line):
        def validation_step(self, batch, batch_idx):
            assert not self.training
            assert not framework.is_grad_enabled()
            framework.rand(5)

    drawn = []
    for validation in (None, DataLoader(points(), 4)):
        framework.manual_seed(1)
        module = Modes()
        module.frozen = nn.Dropout(0.5).eval()
        quiet(val_check_interval=2, num_sanity_val_steps=2).fit(module, DataLoader(points(), 4), validation)
        assert module.training
        assert not module.frozen.training
        drawn.append(framework.rand(3).numpy().tolist())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("interval", "every", "times"), [(None, 1, 4), (None, 2, 2), (2, 1, 12), (0.5, 1, 8), (1.0, 1, 4), (100, 1, 4)]
)
def test_how_often_validation_comes(interval, every, times):
    notes = Notes()
    quiet(max_epochs=4, val_check_interval=interval, check_val_every_n_epoch=every, callbacks=[notes]).fit(
        Line(), DataLoader(points(), 4), DataLoader(points(), 8)
    )
    assert notes.seen.count("on_validation_start") == times


class TestEnds:
    def test_steps_epochs_time(self):
        trainer = quiet(max_epochs=None, max_steps=8)
        trainer.fit(Line(), DataLoader(points(), 4))
        assert (trainer.global_step, trainer.current_epoch) == (8, 1)
        trainer = quiet(max_epochs=None, max_time=timedelta(seconds=0.2))
        trainer.fit(Line(), DataLoader(points(), 4))
        assert trainer.global_step > 5
        assert [Trainer(max_time=t, enable_progress_bar=False).max_time for t in ("01:00:01:40", 3)] == [86500, 3]
        trainer = quiet(max_epochs=0)
        trainer.fit(Line(), DataLoader(points(), 4))
        assert trainer.global_step == 0

    def test_an_epoch_of_unknown_length_steps_what_is_left(self):
        def batches():
            return iter([[t[i : i + 4] for t in points().tensors] for i in range(0, 20, 4)])

        class Stream:
            def __iter__(self):
                return batches()

        trainer = quiet(accumulate_grad_batches=2)
        trainer.fit(Line(), Stream())
        assert trainer.global_step == 6
        whole = quiet(accumulate_grad_batches=2)
        ours, other = Line(), Line()
        trainer.fit(ours, Stream())
        whole.fit(other, list(batches()))
        assert values(ours).tobytes() == values(other).tobytes()

    def test_early_stopping(self):
        class Given(Line):
            losses = iter([3.0, 2.0, 2.5, 1.95, 2.6, 2.7, 0.1])

            def on_validation_epoch_end(self):
                self.log("metric", next(self.losses))

        def stopped(**settings):
            Given.losses = iter([3.0, 2.0, 2.5, 1.95, 2.6, 2.7, 0.1])
            stop = EarlyStopping("metric", **settings)
            trainer = quiet(max_epochs=7, callbacks=[stop])
            trainer.fit(Given(), DataLoader(points(), 8), DataLoader(points(), 8))
            return trainer.current_epoch, stop

        epochs, stop = stopped(patience=2)
        assert (epochs, stop.best_score, stop.stopped_epoch) == (6, 1.95, 5)
        assert "not improved on 1.95 in 2 checks" in stop.reason
        assert stopped(patience=2, min_delta=0.1)[0] == 4
        assert stopped(patience=5, stopping_threshold=2.2)[0] == 2
        assert stopped(patience=9, divergence_threshold=2.9)[0] == 1
        assert stopped(patience=1, mode="max")[0] == 2
        with pytest.raises(KeyError, match=r"'other', which was not logged; logged are: .*val_loss"):
            quiet(callbacks=[EarlyStopping("other")]).fit(Line(), DataLoader(points(), 8), DataLoader(points(), 8))
        on_training = quiet(max_epochs=50, callbacks=[EarlyStopping("loss_epoch", min_delta=10.0, patience=1)])
        on_training.fit(Line(), DataLoader(points(), 8))
        assert on_training.current_epoch == 2

    def test_a_request_to_stop_writes_a_checkpoint(self, tmp_path, capsys):
        class Asks(Callback):
            def on_before_backward(self, trainer, module, loss):
                if trainer.global_step == 2 and trainer.fit_loop.pending:
                    signal.raise_signal(signal.SIGTERM)

        before = signal.getsignal(signal.SIGTERM)
        trainer = quiet(default_root_dir=tmp_path, accumulate_grad_batches=2, callbacks=[Asks()])
        with pytest.raises(TrainingStopped, match=r"after step 3 \(epoch 0, batch 6\)") as stopped:
            trainer.fit(Line(), DataLoader(points(), 4))
        assert signal.getsignal(signal.SIGTERM) is before
        assert stopped.value.code == 143
        assert stopped.value.path == tmp_path / "checkpoints" / "last.safetensors"
        assert "Stopped after step 3" in capsys.readouterr().err
        ours, other = Line(), Line()
        again = quiet(default_root_dir=tmp_path, accumulate_grad_batches=2)
        again.fit(ours, DataLoader(points(), 4), ckpt_path="last")
        quiet(accumulate_grad_batches=2).fit(other, DataLoader(points(), 4))
        assert values(ours).tobytes() == values(other).tobytes()

    def test_errors_say_where(self):
        class Breaks(Line):
            def training_step(self, batch, batch_idx):
                loss = super().training_step(batch, batch_idx)
                return loss * math.nan if self.global_step == 7 else loss

        notes = Notes()
        module = Breaks()
        with pytest.raises(FloatingPointError, match="the loss is nan") as broken:
            quiet(callbacks=[notes]).fit(module, DataLoader(points(), 4))
        assert broken.value.__notes__ == ["in epoch 1, batch 1, step 7 of the fit"]
        assert notes.seen[-2:] == ["on_exception", "teardown"]
        assert np.isfinite(values(module)).all()
        quiet(check_finite_loss=False).fit(Breaks(), DataLoader(points(), 4))


class TestCheckpoints:
    def test_the_best_and_the_last_are_kept(self, tmp_path):
        class Given(Line):
            def on_validation_epoch_end(self):
                self.log("score", [3.0, 1.0, 2.0, math.nan, 5.0][self.current_epoch])

        for mode, kept in (("min", ["1", "2"]), ("max", ["0", "4"])):
            keep = ModelCheckpoint(tmp_path / mode, "{epoch}-{score:.1f}", monitor="score", mode=mode, save_top_k=2)
            trainer = quiet(max_epochs=5, callbacks=[keep])
            trainer.fit(Given(), DataLoader(points(), 8), DataLoader(points(), 8))
            names = sorted(path.name for path in (tmp_path / mode).iterdir())
            assert [name.split("=")[1].split("-")[0] for name in names[:2]] == kept
            assert names[2:] == ["last.safetensors"]
            best = {"min": "epoch=1-score=1.0", "max": "epoch=4-score=5.0"}[mode]
            assert keep.best_model_path == str(tmp_path / mode / f"{best}.safetensors")
            assert trainer.validate(Line(lr=9), DataLoader(points(), 8), ckpt_path="best")["val_loss"] >= 0

    def test_all_or_only_weights(self, tmp_path):
        every = ModelCheckpoint(tmp_path / "all", save_top_k=-1, every_n_train_steps=2, save_last=False)
        light = ModelCheckpoint(tmp_path / "light", "weights", save_weights_only=True)
        module = Line()
        quiet(callbacks=[every, light], max_epochs=1).fit(module, DataLoader(points(), 4))
        assert sorted(p.name for p in (tmp_path / "all").iterdir()) == [
            f"epoch=0-step={step}.safetensors" for step in (2, 4, 6)
        ]
        state = framework.load(tmp_path / "light" / "weights.safetensors")
        assert set(state) == {"version", "model", "epoch", "global_step"}
        np.testing.assert_array_equal(state["model"]["layer.bias"].numpy(), module.layer.bias.detach().numpy())
        with pytest.raises(ValueError, match="holds weights only"):
            quiet().fit(Line(), DataLoader(points(), 4), ckpt_path=tmp_path / "light" / "weights.safetensors")

    def test_a_fit_that_ends_between_is_saved_too(self, tmp_path):
        trainer = quiet(max_epochs=-1, max_steps=8, default_root_dir=tmp_path)
        trainer.fit(Line(), DataLoader(points(), 4, shuffle=True, seed=3))
        module, whole = Line(), Line()
        longer = quiet(max_epochs=-1, max_steps=15, default_root_dir=tmp_path)
        longer.fit(module, DataLoader(points(), 4, shuffle=True, seed=9), ckpt_path="last")
        assert longer.global_step == 15
        quiet(max_epochs=-1, max_steps=15).fit(whole, DataLoader(points(), 4, shuffle=True, seed=3))
        assert values(module).tobytes() == values(whole).tobytes()

    def test_plain_lists_of_batches_resume_too(self, tmp_path):
        batches = [[t[i : i + 4] for t in points().tensors] for i in range(0, 24, 4)]
        quiet(max_epochs=-1, max_steps=8, default_root_dir=tmp_path).fit(Line(), batches)
        module, whole = Line(), Line()
        quiet(default_root_dir=tmp_path).fit(module, batches, ckpt_path="last")
        quiet().fit(whole, batches)
        assert values(module).tobytes() == values(whole).tobytes()

    def test_callbacks_add_to_checkpoints(self, tmp_path):
        class Adds(Callback):
            found = None

            def on_save_checkpoint(self, trainer, module, checkpoint):
                checkpoint["classes"] = ["a", "b"]

            def on_load_checkpoint(self, trainer, module, checkpoint):
                self.found = checkpoint["classes"]

        adds = Adds()
        quiet(default_root_dir=tmp_path, callbacks=[Adds()]).fit(Line(), DataLoader(points(), 4))
        quiet(default_root_dir=tmp_path, callbacks=[adds]).fit(Line(), DataLoader(points(), 4), ckpt_path="last")
        assert adds.found == ["a", "b"]

    def test_what_cannot_be_resumed_is_refused(self, tmp_path):
        quiet(default_root_dir=tmp_path).fit(Line(), DataLoader(points(), 4))
        last = tmp_path / "checkpoints" / "last.safetensors"
        data = DataLoader(points(), 4)
        with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
            quiet().fit(Line(), data, ckpt_path=tmp_path / "nothing")
        with pytest.raises(ValueError, match="needs default_root_dir"):
            quiet().fit(Line(), data, ckpt_path="last")
        with pytest.raises(ValueError, match="no best checkpoint"):
            quiet().test(Line(), data, ckpt_path="best")
        with pytest.raises(ValueError, match="a run with 0 schedules, this one has 1"):
            quiet().fit(Line(schedule=lambda o: optim.lr_scheduler.StepLR(o, 1)), data, ckpt_path=last)
        with pytest.raises(ValueError, match="had 6 batches when its state was saved and has 3 now"):
            quiet(max_epochs=3, default_root_dir=tmp_path).fit(Line(), DataLoader(points(), 8), ckpt_path="last")
        framework.save({"x": framework.ones(1)}, tmp_path / "other.safetensors")
        with pytest.raises(ValueError, match="not a checkpoint"):
            quiet().fit(Line(), data, ckpt_path=tmp_path / "other.safetensors")
        fresh = quiet(default_root_dir=tmp_path / "new")
        fresh.fit(Line(), data, ckpt_path="last")  # nothing there yet: a fresh start
        assert fresh.current_epoch == 2


class TestCallbacks:
    def test_learning_rates_are_those_of_the_steps(self, tmp_path):
        def schedule(optimizer):
            return optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

        trainer = quiet(
            max_epochs=1,
            log_every_n_steps=1,
            callbacks=[LearningRateMonitor(log_momentum=True)],
            logger=CSVLogger(tmp_path),
        )
        trainer.fit(Line(schedule=schedule), DataLoader(points(), 4))
        seen = [(float(row["lr"]), float(row["momentum"])) for row in rows(tmp_path / "metrics.csv") if row["lr"]]
        assert seen == [(0.05 * 0.5 ** (step // 2), 0.9) for step in range(6)]

    @pytest.mark.parametrize("warmup", [False, True])
    def test_averages_equal_a_calculation(self, warmup):
        class Keeps(Callback):
            def __init__(self):
                self.history, self.validated = [], []

            def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
                self.history.append(values(module).astype(np.float64))

            def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx):
                self.validated.append(values(module))

        keeps, module = Keeps(), Line()
        average = WeightAveraging(0.7, warmup=warmup)
        quiet(callbacks=[average, keeps], max_epochs=1).fit(module, DataLoader(points(), 4), DataLoader(points(), 24))
        wanted = keeps.history[0]
        for n, present in enumerate(keeps.history[1:], start=1):
            decay = min(0.7, (1 + n) / (10 + n)) if warmup else 0.7
            wanted = decay * wanted + (1 - decay) * present
        np.testing.assert_allclose(keeps.validated[0], wanted, rtol=1e-5)
        np.testing.assert_allclose(values(module), wanted, rtol=1e-5)
        mean = WeightAveraging(avg_fn=optim.swa_utils.get_swa_avg_fn(), start_step=3, every_n_steps=2)
        keeps, module = Keeps(), Line()
        quiet(callbacks=[mean, keeps], max_epochs=1).fit(module, DataLoader(points(), 4))
        np.testing.assert_allclose(values(module), (keeps.history[3] + keeps.history[5]) / 2, rtol=1e-5)

    def test_lines_for_logs_and_a_bar_for_people(self, capsys, monkeypatch):
        Trainer(max_epochs=2, num_sanity_val_steps=0, callbacks=[ProgressBar(line_seconds=0)]).fit(
            Line(), DataLoader(points(), 12)
        )
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("epoch 0, batch 1/2, loss ")
        assert lines[2].startswith("epoch 0, step 2, loss ")
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        trainer = Trainer(max_epochs=1, num_sanity_val_steps=0)
        trainer.fit(Line(), DataLoader(points(), 12))
        trainer.test(Line(), DataLoader(points(), 12))
        shown = capsys.readouterr().err
        assert "2/2" in shown
        assert "loss" in shown
        assert "test: test_loss" in shown

    def test_the_range_test_leaves_no_trace(self):
        module, data = Line(), DataLoader(points(), 4, shuffle=True, seed=0)
        before, state = values(module), data.state_dict()
        framework.manual_seed(5)
        found = find_learning_rate(module, data, 1e-6, 10.0, num_training=60)
        assert framework.default_generator.get_state() == (5, 0)
        assert values(module).tobytes() == before.tobytes()
        assert data.state_dict() == state
        assert 1e-3 < found.suggestion() < 2.0
        assert found.lrs == sorted(found.lrs)
        assert found.lrs[-1] > 0.5
        assert len(found.lrs) < 60 or found.losses[-1] <= 4 * min(found.losses)
        assert len(find_learning_rate(module, data, num_training=3).lrs) == 3
        assert find_learning_rate(module, data, num_training=3, mode="linear").suggestion() is None


class TestLogs:
    def test_a_table_with_all_columns(self, tmp_path):
        trainer = quiet(default_root_dir=tmp_path, log_every_n_steps=2)
        trainer.fit(Line(), DataLoader(points(), 4), DataLoader(points(), 4))
        table = rows(tmp_path / "metrics.csv")
        assert list(table[0]) == ["step", "epoch", "loss_step", "val_loss", "loss_epoch"]
        assert [row["step"] for row in table] == ["2", "4", "6", "6", "6", "8", "10", "12", "12", "12"]
        assert float(table[4]["loss_epoch"]) > float(table[9]["loss_epoch"])
        trainer.test(Line(), DataLoader(points(), 4))
        quiet(default_root_dir=tmp_path).validate(Line(), DataLoader(points(), 4))  # adds, and takes nothing away
        assert len(rows(tmp_path / "metrics.csv")) == 12
        quiet(default_root_dir=tmp_path, max_epochs=1).fit(Line(), DataLoader(points(), 4))
        assert len(rows(tmp_path / "metrics.csv")) == 1

    def test_tensorboard_reads_it(self, tmp_path):
        pytest.importorskip("tensorboardX")
        from tensorboardX.proto.event_pb2 import Event

        quiet(max_epochs=1, log_every_n_steps=3, logger=[TensorBoardLogger(tmp_path)]).fit(
            Line(), DataLoader(points(), 4), DataLoader(points(), 4)
        )
        (path,) = tmp_path.iterdir()
        data, events = path.read_bytes(), []
        while data:
            length = int.from_bytes(data[:8], "little")
            events.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
        found = [(event.step, value.tag) for event in events for value in event.summary.value if value.tag != "epoch"]
        assert found == [(3, "loss_step"), (6, "loss_step"), (6, "val_loss"), (6, "loss_epoch")]

    def test_a_logger_of_ones_own(self):
        class Keeps(Logger):
            def __init__(self):
                self.seen, self.ended = [], ""

            def log_metrics(self, metrics, step):
                self.seen.append((step, dict(metrics)))

            def finalize(self, status):
                self.ended = status

        keeps = Keeps()
        quiet(max_epochs=1, logger=keeps).fit(Line(), DataLoader(points(), 4))
        assert keeps.seen[-1][0] == 6
        assert keeps.ended == "success"

    def test_what_cannot_be_logged(self):
        class Logs(Line):
            given = None

            def training_step(self, batch, batch_idx):
                self.log("x", self.given)

        for given, error in ((framework.ones(3), ValueError), ("text", ValueError), ([1], TypeError)):
            Logs.given = given
            with pytest.raises(error):
                quiet().fit(Logs(), DataLoader(points(), 4))


class TestModules:
    def test_a_plain_network(self):
        seed_everything(0)
        data = points(64)
        net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        module = Supervised(
            net,
            nn.MSELoss(),
            lambda params: optim.AdamW(params, lr=0.02),
            lambda optimizer: optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2),
            metrics={"mae": lambda out, target: (out - target).abs().mean()},
            interval="epoch",
        )
        trainer = quiet(max_epochs=15)
        trainer.fit(module, DataLoader(data, 8, shuffle=True), DataLoader(data, 64))
        assert trainer.callback_metrics["val_loss"] < 0.1
        assert trainer.callback_metrics["val_mae"] < 0.3
        assert trainer.test(module, DataLoader(data, 64))["test_mae"] < 0.3
        assert set(module.state_dict()) == {f"network.{name}" for name in net.state_dict()}

    def test_dictionaries_by_name(self):
        x, y = points(8).tensors
        module = Supervised(nn.Linear(3, 1), nn.MSELoss(), lambda p: optim.SGD(p, lr=0.1), keys=("image", "label"))
        quiet().fit(module, [{"image": x, "label": y}], [{"image": x, "label": y}])
        assert quiet().predict(module, [{"image": x, "label": y}])[0].shape == (8, 1)
        plain = Supervised(nn.Linear(3, 1), nn.MSELoss(), lambda p: optim.SGD(p, lr=0.1))
        with pytest.raises(TypeError, match="give keys="):
            quiet().fit(plain, [{"image": x, "label": y}])

    def test_several_optimizers_by_hand(self):
        class Two(TrainingModule):
            automatic_optimization = False

            def __init__(self):
                super().__init__()
                self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

            def training_step(self, batch, batch_idx):
                for layer, optimizer in zip((self.a, self.b), self.optimizers()):
                    optimizer.zero_grad()
                    self.manual_backward(F.mse_loss(layer(batch[0]), batch[1]))
                    optimizer.step()

            def configure_optimizers(self):
                return [optim.SGD(self.a.parameters(), lr=0.1), optim.SGD(self.b.parameters(), lr=0.0)]

        module = Two()
        before = values(module)
        trainer = quiet(max_epochs=1)
        trainer.fit(module, DataLoader(points(), 4))
        assert (values(module)[:4] != before[:4]).all()
        assert (values(module)[4:] == before[4:]).all()
        assert trainer.global_step == 6
        Two.automatic_optimization = True
        with pytest.raises(ValueError, match="set automatic_optimization = False"):
            quiet().fit(Two(), DataLoader(points(), 4))

    def test_a_batch_may_be_left_out(self):
        class Picks(Line):
            def training_step(self, batch, batch_idx):
                return {"loss": super().training_step(batch, batch_idx)} if batch_idx % 2 else None

        trainer = quiet(max_epochs=1)
        trainer.fit(Picks(), DataLoader(points(), 4))
        assert trainer.global_step == 3

    def test_half_precision(self):
        pytest.importorskip("framework.amp")
        for precision in ("bf16-mixed", "16-mixed"):
            types = []

            class Half(Line):
                def forward(self, x, types=types):
                    out = super().forward(x)
                    types.append(out.dtype)
                    return out

            module = Half()
            trainer = quiet(precision=precision)
            trainer.fit(module, DataLoader(points(), 4))
            assert types[0] == (framework.bfloat16 if precision == "bf16-mixed" else framework.float16)
            assert module.layer.weight.dtype == framework.float32
            assert trainer.callback_metrics["loss_epoch"] < 1.0


def test_fast_dev_run_writes_nothing(tmp_path):
    trainer = Trainer(fast_dev_run=2, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.fit(Line(), DataLoader(points(), 4), DataLoader(points(), 4))
    assert trainer.global_step == 2
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_bytes():
    finals = []
    for workers in (0, 2):
        module = Line()
        quiet(seed=4).fit(module, DataLoader(points(), 4, shuffle=True, seed=1, num_workers=workers))
        finals.append(values(module).tobytes())
    assert finals[0] == finals[1]


def test_deterministic_mode_is_asked_for_by_name():
    try:
        Trainer(deterministic=True, enable_progress_bar=False)
        assert framework.are_deterministic_algorithms_enabled()
    finally:
        framework.use_deterministic_algorithms(False)


def test_a_resumed_run_hands_its_loader_on(tmp_path):
    """A state that is written before the first batch after resuming is the state that was read."""

    class Keeps(Callback):
        def on_train_start(self, trainer, module):
            trainer.save_checkpoint(tmp_path / "again")

    quiet(default_root_dir=tmp_path, max_epochs=-1, max_steps=8).fit(
        Line(), DataLoader(points(), 4, shuffle=True, seed=3)
    )
    last = tmp_path / "checkpoints" / "last.safetensors"
    wanted = framework.load(last, mmap=False)["loader"]
    quiet(default_root_dir=tmp_path, callbacks=[Keeps()]).fit(
        Line(), DataLoader(points(), 4, shuffle=True, seed=9), ckpt_path="last"
    )
    assert framework.load(tmp_path / "again")["loader"] == wanted


REFUSALS = [
    ({"accumulate_grad_batches": 0}, ValueError, "accumulate_grad_batches should be at least 1"),
    ({"gradient_clip_algorithm": "mean"}, ValueError, "'norm' or 'value'"),
    ({"precision": "8"}, ValueError, "precision is one of 32-true, bf16-mixed, 16-mixed"),
    ({"max_time": "soon"}, ValueError, "DD:HH:MM:SS"),
    ({"callbacks": [3]}, TypeError, "callbacks are of the class Callback, got int"),
    ({"callbacks": [EarlyStopping("a"), EarlyStopping("a")]}, ValueError, "two callbacks are called"),
]


@pytest.mark.parametrize(("settings", "error", "match"), REFUSALS)
def test_wrong_settings(settings, error, match):
    with pytest.raises(error, match=match):
        Trainer(enable_progress_bar=False, **settings)


def test_wrong_arguments():
    data = DataLoader(points(), 4)
    with pytest.raises(TypeError, match="wrap a plain network in Supervised"):
        quiet().fit(nn.Linear(3, 1), data)
    with pytest.raises(ValueError, match="gave no batch"):
        quiet().fit(Line(), [])
    with pytest.raises(NotImplementedError, match=r"does not define configure_optimizers\(\)"):
        quiet().fit(TrainingModule(), data)
    with pytest.raises(RuntimeError, match="ModelCheckpoint has no folder"):
        quiet(callbacks=[ModelCheckpoint()]).fit(Line(), data)
    for wrong in ({"mode": "mean"}, {"save_top_k": -2}, {"every_n_epochs": 0}):
        with pytest.raises(ValueError):
            ModelCheckpoint(**wrong)
    with pytest.raises(ValueError, match="needs the name of a metric"):
        quiet().fit(Line(schedule=lambda o: optim.lr_scheduler.ReduceLROnPlateau(o)), data)
