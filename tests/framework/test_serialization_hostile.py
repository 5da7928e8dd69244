"""Hostile and damaged files: one clear error, within a second, in bounded memory, and nothing is ever run."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import hostile_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import framework
from framework.serialization import SerializationError, load_arrays

# Loads every file named on standard input, with at most 512 MiB beyond what the interpreter has after its imports.
READER = """
import json, resource, sys, time
import framework
from framework.serialization import SerializationError
framework.zeros(1)
with open("/proc/self/statm") as file:
    present = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (present + 512 * 2**20,) * 2)
results = {}
for line in sys.stdin:
    path = line.strip()
    for mmap in map(bool, map(int, sys.argv[1:])):
        start = time.process_time()
        try:
            framework.load(path, mmap=mmap)
            outcome = "read"
        except SerializationError as error:
            outcome = f"refused: {error}"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        results[f"{path} {mmap}"] = outcome, time.process_time() - start
print(json.dumps(results))
"""


Outcomes = dict[str, tuple[str, float]]


def outcomes(folder: Path, files: dict[str, bytes], modes: tuple[bool, ...] = (True, False)) -> Outcomes:
    """What becomes of each file in a process of limited memory, and the seconds of processor it takes."""
    paths = []
    for number, content in enumerate(files.values()):
        paths.append(folder / f"{number}.file")
        paths[-1].write_bytes(content)
    given = "\n".join(map(str, paths))
    command = [sys.executable, "-c", READER, *(str(int(mmap)) for mmap in modes)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    return {f"{name}, mmap={mmap}": results[f"{path} {mmap}"] for name, path in zip(files, paths) for mmap in modes}


def assert_refused(results: Outcomes) -> None:
    wrong = {name: outcome for name, (outcome, _) in results.items() if not outcome.startswith("refused: ")}
    assert not wrong
    unclear = {name: outcome for name, (outcome, _) in results.items() if "\n" in outcome or len(outcome) > 400}
    assert not unclear
    assert all(".file'" in outcome for outcome, _ in results.values())
    slow = {name: seconds for name, (_, seconds) in results.items() if seconds > 1}
    assert not slow


def test_attacks_run_nothing(tmp_path):
    marker = tmp_path / "was run"
    pickles = hostile_files.attacks(marker)
    files = {f"{name} in zip": hostile_files.archive(content) for name, content in pickles.items()}
    files |= {f"{name} in legacy": hostile_files.legacy(content) for name, content in pickles.items()}
    files |= {f"{name} alone": content for name, content in pickles.items()}
    results = outcomes(tmp_path, files)
    assert_refused(results)
    assert not marker.exists()
    assert "asks to run 'posix.system', which no file of weights needs" in results["os.system in zip, mmap=True"][0]
    assert "asks to run '__builtin__.eval'" in results["eval in legacy, mmap=True"][0]


def test_pythons_own_reader_would_have_run_them(tmp_path):
    """That the attacks are real."""
    marker = tmp_path / "was run"
    attack = hostile_files.attacks(marker)["os.system"]
    subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({attack!r})"], check=True)
    assert marker.exists()


def test_bombs(tmp_path):
    pickles = hostile_files.bombs()
    files = {name: hostile_files.archive(content) for name, content in pickles.items()}
    assert_refused(outcomes(tmp_path, files, (True,)))


def test_tensors_that_cannot_be(tmp_path):
    pickles = hostile_files.nonsense()
    files = {f"{name} in zip": hostile_files.archive(content) for name, content in pickles.items()}
    files |= {f"{name} in legacy": hostile_files.legacy(content) for name, content in pickles.items()}
    assert_refused(outcomes(tmp_path, files))


def test_archives(tmp_path):
    assert_refused(outcomes(tmp_path, hostile_files.zips() | hostile_files.scripts()))


def test_code_that_is_never_closed(tmp_path):
    """Code that does not say what parameters are: every tensor is taken, and looking for them takes no time."""
    module = hostile_files.name("__torch__", "N") + b")\x81}" + hostile_files.text("w") + hostile_files.tensor() + b"sb"
    code = b"class N(Module):\n  __parameters__ = [" * 200_000
    ((outcome, seconds), _) = outcomes(tmp_path, {"": hostile_files.script(b"\x80\x02" + module + b".", code)}).values()
    assert outcome == "read"
    assert seconds < 1


def test_headers(tmp_path):
    assert_refused(outcomes(tmp_path, hostile_files.headers()))


def test_an_archive_with_very_many_records(tmp_path):
    files = {"many": hostile_files.archive(hostile_files.state(), {str(i): b"" for i in range(20_000)})}
    ((outcome, seconds), _) = outcomes(tmp_path, files).values()
    assert outcome == "read"
    assert seconds < 2


@pytest.mark.parametrize("name", ["zip", "legacy", "safetensors"])
def test_honest_files_are_read_and_every_truncation_is_noticed(tmp_path, name):
    whole = hostile_files.honest()[name]
    path = tmp_path / "a"
    path.write_bytes(whole)
    first = next(iter(load_arrays(path).values()))
    assert first.tolist() == np.arange(4, dtype=np.float32).tolist()[: first.size]
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        for mmap in (True, False):
            with pytest.raises(SerializationError):
                framework.load(path, mmap=mmap)


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_truncations_of_a_file_of_pytorch_are_noticed(tmp_path, options):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a"
    torch.save({"w": torch.ones(3), "b": torch.nn.Parameter(torch.ones(2, 2)), "n": [1, None]}, path, **options)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(SerializationError):
            framework.load(path)


FORMATS = hostile_files.honest()
EXPECTED = {}
HEADS = [b"", b"PK\3\4", hostile_files.MAGIC, b"\x89HDF\r\n\x1a\n", b"\x80\x02"]


def expected(name):
    if name not in EXPECTED:
        EXPECTED[name] = load_arrays(io.BytesIO(FORMATS[name]))
    return EXPECTED[name]


@st.composite
def mutations(draw):
    """The name of a format, and a file of it with a few bytes changed, removed, added or moved."""
    name = draw(st.sampled_from(sorted(FORMATS)))
    content = bytearray(FORMATS[name])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                content[place] = draw(st.integers(0, 255))
            case 1:
                del content[place : place + draw(st.integers(1, 8))]
            case 2:
                content[place:place] = draw(st.binary(min_size=1, max_size=8))
            case 3:
                other = draw(st.integers(0, len(content) - 1))
                content[place : place + 8] = content[other : other + 8]
        content = content or bytearray(b"\0")
    return name, bytes(content)


@settings(max_examples=1000, deadline=2000)
@given(mutations())
def test_mutated_files_give_arrays_or_the_one_error(mutated):
    """What is read has the types of the original unless the table of contents itself was rewritten to another."""
    name, content = mutated
    try:
        arrays = load_arrays(io.BytesIO(content))
    except SerializationError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= 100 * len(content)
    if content == FORMATS[name]:
        for key, array in expected(name).items():
            assert arrays[key].tobytes() == array.tobytes()


@settings(max_examples=300, deadline=2000)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PK\3\4", hostile_files.MAGIC, b"\x89HDF\r\n\x1a\n", b"\x80\x02"])
)
def test_arbitrary_bytes_give_the_one_error(content, head):
    with pytest.raises(SerializationError):
        load_arrays(io.BytesIO(head + content))


@settings(max_examples=100, deadline=2000)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.integers(-(2**60), 2**60) | st.none(), inner),
    max_leaves=10,
))  # fmt: skip
def test_any_plain_state_returns_as_it_went_in(state):
    buffer = io.BytesIO()
    framework.save(state, buffer)
    buffer.seek(0)
    assert repr(framework.load(buffer)) == repr(state)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_fuzzing_guided_by_coverage(tmp_path, name):
    """A minute of atheris for each format, beginning with an honest file."""
    pytest.importorskip("atheris")
    (tmp_path / "seeds").mkdir()
    for each, content in FORMATS.items():
        if each == name:
            (tmp_path / "seeds" / each).write_bytes(content)
    code = (
        "import io, sys, atheris\n"
        "with atheris.instrument_imports(include=['framework.serialization']):\n"
        "    import framework.serialization as serialization\n"
        "def one(content):\n"
        "    try:\n"
        "        serialization.load_arrays(io.BytesIO(content))\n"
        "    except serialization.SerializationError:\n"
        "        pass\n"
        "atheris.Setup(sys.argv, one)\n"
        "atheris.Fuzz()\n"
    )
    seconds = os.environ.get("VOXHELIX_FUZZ_SECONDS", "15")
    command = [sys.executable, "-c", code, "-timeout=5", "-rss_limit_mb=2000", f"-max_total_time={seconds}", "seeds"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
