"""advlib.experiment.parameters: make's command line, folder names, parameter sets."""

import os
import re
import sys

import pytest
import yaml
from folders import put_idx
from hypothesis import given
from hypothesis import strategies as st

from advlib.experiment.parameters import (
    NAMES,
    folder_name,
    main,
    parse,
    read_arguments,
    resolve,
    resolve_early,
    sets,
)
from advlib.methods import METHODS
from advlib.published import slides
from advlib.settings import Experiment


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("EPSILON", "0.20", ("epsilon", 0.2)),
        ("IMAGES", "all", ("images", None)),
        ("IMAGES", "007", ("images", 7)),
        ("DATASET", "/some/../data/", ("dataset", "/data")),
        ("SEED", "+3", ("seed", 3)),
        ("METHODS", "mixed,standard", ("methods", ("mixed", "standard"))),
    ],
)
def test_parse(name, text, expected):
    assert parse(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("epsilon", "0.2", "EPSILON"),
        ("EPSILON", "-1", "EPSILON must be a finite number of at least 0, not '-1'"),
        ("EPSILON", "1_0", "EPSILON must be"),
        ("EPOCHS", "٣", "EPOCHS must be"),
        ("EPOCHS", "9" * 5000, "EPOCHS must be"),
        ("METHODS", "a.py:Free,b.py:free", "METHODS must be .* each with a name of its own"),
        ("METHODS", "../x", "METHODS must be one to eight"),
        ("DATASET", "CIFAR10", "DATASET must be one of MNIST, .*, or a folder"),
    ],
)
def test_parse_rejects(name, text, words):
    with pytest.raises(ValueError, match=words):
        parse(name, text)


@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_parse_reads_what_python_writes(value):
    assert parse("EPSILON", repr(value)) == ("epsilon", value)


@pytest.mark.parametrize(
    ("set_name", "overrides", "expected"),
    [
        ("seed", {"epsilon": 0.2, "epochs": 5}, "seed-epochs5-epsilon0.2"),
        ("seed", {"alpha": 1.0}, "seed-alpha1"),
        ("quick", {"images": None, "dataset": "KMNIST"}, "quick-datasetKMNIST-imagesall"),
        ("quick", {"author": "Ada"}, "quick-authorAda"),
    ],
)
def test_folder_name(set_name, overrides, expected):
    assert folder_name(set_name, overrides) == expected


OWN = """
from advlib.methods import METHODS, Method
from advlib.settings import Training

class Smoothing(Training):
    smooth_steps: int = 7

smooth = Method(METHODS["standard"].step, settings=Smoothing)
"""


def test_a_methods_own_setting_is_a_parameter(tmp_path):
    """By its name in capitals, or in a file; checked when the methods are loaded."""
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    arguments = [f"METHODS=pgd,{file}:smooth", "SMOOTH_STEPS=3", "PGD_STEP=0.5"]
    set_name, overrides = read_arguments(arguments)
    found = vars(resolve(set_name, overrides))
    assert (found["smooth_steps"], found["pgd_step"], found["pgd_steps"]) == (3, 0.5, 10)
    assert resolve_early(set_name, overrides).methods == found["methods"]
    assert folder_name(set_name, overrides).endswith("-pgd_step0.5-smooth_steps3")
    own = tmp_path / "own.yaml"
    own.write_text(f"methods: [{file}:smooth]\nsmooth_steps: 3\n")
    assert resolve(str(own)).smooth_steps == 3
    for text, words in {"STEPZ=3": "there is no parameter STEPZ", "PGD_STEPS=0.5": "whole"}.items():
        with pytest.raises((TypeError, ValueError), match=words):
            resolve(*read_arguments(["METHODS=pgd", text]))
    with pytest.raises(ValueError, match="there is no parameter EPSILN; there are"):
        resolve_early(*read_arguments(["EPSILN=3"]))


def test_seed_set_is_the_slides_experiment():
    """And where they state nothing, the default."""
    seed = vars(resolve("seed"))
    assert seed == vars(Experiment())
    assert {name: seed[name] for name in slides.settings()} == slides.settings()
    assert (seed["seed"], seed["methods"]) == (0, slides.METHODS)


def test_what_is_not_said_is_the_sets_or_the_other():
    quick = Experiment(images=10_000, epochs=2, learning_rate=0.005, tested=2_000, attacked=100)
    assert resolve("quick") == quick
    assert resolve("seed", {"epsilon": 0.2}).attack_epsilon == 0.2
    stronger = resolve("seed", {"attack_epsilon": 0.3})
    assert (stronger.epsilon, stronger.attack_epsilon) == (0.1, 0.3)
    with pytest.raises(ValueError, match="epochs must be"):
        resolve("quick", {"epochs": 0})
    with pytest.raises(ValueError, match="quick, seed"):
        resolve("none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1", "is not YAML"),
        ("epsiln: 1", "there is no parameter EPSILN; there are PARAMETERS, DATASET"),
        ("[epsilon]", "must give some of dataset"),
        (
            "epochs: 3\nseed: 1\nepochs: 4",
            "mine.yaml is not YAML: it gives 'epochs' twice, again in line 3",
        ),
        ("epochs: 1:30", "epochs must be .*1:30"),
        ("seed: 1\nepochs: 0", "epochs must be .*mine.yaml, line 2"),
        ("\n\nnonsense: 1\nepochs: 1", "no parameter NONSENSE.*mine.yaml, line 3"),
        ("Epochs: 1", "no parameter Epochs; .*mine.yaml, line 1"),
        ("\udcff", "is not YAML"),
    ],
)
def test_wrong_parameter_sets_are_named(tmp_path, text, words):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises((TypeError, ValueError), match=words):
        resolve(str(file))


def test_a_number_of_a_set_is_that_of_the_command_line(tmp_path):
    """To YAML 1.1 010 is 8 and 1e-3 a text."""
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 010\nlearning_rate: 1e-3\nimages: null\nweights: ~\n")
    assert resolve(str(file)) == Experiment(epochs=10, learning_rate=1e-3)


def test_a_set_of_ones_own_needs_the_set_up(tmp_path, monkeypatch):
    """PyYAML reads it. Of ours what make plans by is known without: none of them names it."""
    own = tmp_path / "mine.yaml"
    own.write_text("epochs: 1\nmethods: [mixed, standard]\n")
    assert resolve_early(str(own), {}).methods == ("mixed", "standard")
    origins = {name: resolve(name).origins for name in sets()}
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert {name: resolve_early(name, {}).origins for name in sets()} == origins
    assert resolve_early("quick", {"methods": ("mixed",)}).methods == ("mixed",)
    with pytest.raises(ValueError, match=r"make \.venv/ready first"):
        resolve_early(str(own), {})
    with pytest.raises(ValueError, match="METHODS must be of"):
        resolve_early("quick", {"methods": ("fre",)})


def test_paths_are_those_of_the_file_or_of_where_make_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "mine").mkdir()
    assert parse("DATASET", "MNIST") == ("dataset", "MNIST")
    assert parse("DATASET", "./MNIST") == ("dataset", f"{tmp_path}/MNIST")
    assert parse("DATASET", "mine") == ("dataset", f"{tmp_path}/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("DATASET", "~/mine") == ("dataset", f"{tmp_path}/mine")
    assert parse("METHODS", "a/b.py:free") == ("methods", (f"{tmp_path}/a/b.py:free",))
    file = tmp_path / "mine" / "experiment.yaml"
    file.write_text("methods: standard, a/b.py:free\nnetwork: a/b.py:Net\n")
    found, own = resolve(str(file)), f"{tmp_path}/mine/a/b.py"
    assert (found.methods, found.network) == (("standard", f"{own}:free"), f"{own}:Net")
    there = folder_name(str(file), {})
    assert there.startswith("experiment-")
    assert folder_name(str(file.rename(tmp_path / "experiment.yaml")), {}) == there
    with pytest.raises(ValueError, match="is no such file"):
        resolve("none.yaml")


def test_the_folder_of_what_is_ones_own_has_a_safe_name():
    def name(place, **more):
        given = {
            "dataset": f"{place}/a: b%/c d#",
            "methods": ("mixed", f"{place}/c:%d.py:my_own"),
        }
        return folder_name("seed", given | more)

    one, other = name("/x"), name("/y")
    assert one != other
    digest = "[0-9a-f]{8}"
    assert re.fullmatch(f"seed-datasetc_d-{digest}-methodsmixed[+]my-own-{digest}", one)
    long = [name(place, network=f"{place}/y.py:Net") for place in ("/x", "/y")]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 60


def test_help_says_what_each_parameter_may_be(capsys):
    assert main(["--help"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert [*lines] == ["PARAMETERS", *map(str.upper, NAMES)]
    assert lines["METHODS"].endswith(f": {', '.join(sorted(METHODS))}")
    assert lines["PARAMETERS"].startswith("a parameter set: quick, seed")
    assert lines["IMAGES"].endswith(": a whole number of at least 1, or all")


def test_command_line_writes_all_parameters(tmp_path):
    """In a folder of its own, and anew only when they change."""
    path = tmp_path / "folder" / "parameters.yaml"
    command = [f"--yaml={path}", "PARAMETERS=quick", "LEARNING_RATE=1e-5"]
    assert main(command) == 0
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = {**vars(resolve("quick", {"learning_rate": 1e-5}))}
    expected |= {"methods": [*expected["methods"]], "slides": True, "lenet": True, "trained": True}
    assert written == expected
    assert resolve(str(path)) == resolve("quick", {"learning_rate": 1e-5})
    os.utime(path, (1e9, 1e9))
    assert main(command) == 0
    assert path.stat().st_mtime == 1e9
    path.write_text("damaged", encoding="utf-8")
    (killed := path.with_name(".part-0123abcd-parameters.yaml")).touch()
    assert main(command) == 0
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == written
    assert not killed.exists()


def test_command_line_says_what_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([f"--yaml={tmp_path / 'file' / 'parameters.yaml'}"]) == 2
    assert re.fullmatch(f"error: .*{tmp_path / 'file'}.*\n", capsys.readouterr().err)


def test_what_is_ones_own_is_known_by_content(tmp_path):
    """The file is written anew where a folder or a file of code changes."""
    folder, code = put_idx(tmp_path / "data", classes=3, size=(28, 28)), tmp_path / "mine.py"
    code.write_text(
        "import mine_beside\nfrom advlib.methods import standard\n\n\ndef own(*given):\n"
        "    return standard(*given)\n"
    )
    helper, path = tmp_path / "mine_beside.py", tmp_path / "parameters.yaml"
    helper.write_text("")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "file").touch()
    (folder / "link").symlink_to(linked)
    command = [f"--yaml={path}", f"DATASET={folder}", f"METHODS={code}:own"]

    def written():
        for name in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[name]  # as in a process of its own
        assert main(command) == 0
        return path.stat().st_mtime_ns

    first = written()
    assert written() == first
    os.utime(linked / "file", (1, 1))
    second = written()
    helper.write_text("x = 1\n")
    assert first < second < written()
