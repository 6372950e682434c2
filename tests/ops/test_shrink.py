"""`wtool shrink` on saved models, against NumPy: which channels go, what becomes of the arrays, what is recorded."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.cli.test_cli import run
from tests.models import FIXTURES, Array, changed
from wtool.graphs import kernel_sums

MLP = FIXTURES / "zoo" / "k3.15.1" / "mlp.keras"
RNN = FIXTURES / "zoo" / "k3.15.1" / "rnn.keras"
CNN = FIXTURES / "bn" / "ckpt-10.keras"


def tensors(path: Path) -> dict[str, Array]:
    with wtool.open_checkpoint(path) as checkpoint:
        return {each.path: checkpoint.read(each) for each in checkpoint.tensors}


def shrunk(model: Path, folder: Path, name: str = "new", **options: Any) -> tuple[Path, wtool.Shrunk]:
    target = folder / f"{name}{model.suffix}"
    (result,) = wtool.shrink(model, output=target, **options)
    return target, result


def lineage(path: Path) -> list[dict[str, Any]]:
    with wtool.open_checkpoint(path) as checkpoint:
        return [record.to_json() for record in checkpoint.lineage]


def lasting(scores: Array, count: int) -> Array:
    return np.sort(np.argsort(scores, kind="stable")[len(scores) - count :])


def squares(*members: tuple[Array, int]) -> Array:
    """The mean over weights of the sums of squares along all other axes."""
    sums = [(values.astype(float) ** 2).sum(axis=tuple({*range(values.ndim)} - {axis})) for values, axis in members]
    return np.asarray(sum(sums) / len(sums))


def mlp_without(old: dict[str, Array], first: Array, second: Array) -> dict[str, Array]:
    """The arrays of the model of two hidden layers with these of their units alone, the optimizer's among them."""
    taken = {
        "fc1/kernel": (slice(None), first),
        **dict.fromkeys(["fc1/bias", "bn1/gamma", "bn1/beta", "bn1/moving_mean", "bn1/moving_variance"], (first,)),
        "fc2/kernel": np.ix_(first, second),
        "fc2/bias": (second,),
        "head/kernel": (second,),
    }
    found = {}
    for path, values in old.items():
        owner = "/".join(path.split("/")[-2:])
        found[path] = values[taken[owner]] if owner in taken and values.ndim else values
    return found


def assert_equal(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert list(found) == list(expected)
    for path, values in expected.items():
        assert np.array_equal(found[path], values), path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_units_go_with_all_that_stands_on_them(suffix: str, tmp_path: Path) -> None:
    old = tensors(MLP.with_suffix(suffix))
    first = lasting(squares((old["fc1/kernel"], 1), (old["bn1/gamma"], 0), (old["fc2/kernel"], 0)), 8)
    second = lasting(squares((old["fc2/kernel"], 1), (old["head/kernel"], 0)), 6)
    new, result = shrunk(MLP.with_suffix(suffix), tmp_path, sparsity=0.5)
    assert_equal(tensors(new), mlp_without(old, first, second))
    assert result.channels == {"fc1": (16, 8), "fc2": (12, 6)}
    assert result.stays == {"head": "the model's output has them"}
    assert result.parameters == (451, 179)
    assert result.bytes == (4 * 451, 4 * 179)
    assert result.multiply_adds == (8 * 16 + 16 * 12 + 12 * 3, 8 * 8 + 8 * 6 + 6 * 3)
    assert result.layers["fc2"] == wtool.ShrunkLayer((16 * 12 + 12, 8 * 6 + 6), (16 * 12, 8 * 6))
    assert result.same is False


def test_producers_alone(tmp_path: Path) -> None:
    old = tensors(MLP)
    first, second = (lasting(squares((old[f"{layer}/kernel"], 1)), count) for layer, count in [("fc1", 8), ("fc2", 6)])
    new, _ = shrunk(MLP, tmp_path, sparsity=0.5, members="producer")
    assert_equal(tensors(new), mlp_without(old, first, second))


def test_over_all_layers(tmp_path: Path) -> None:
    old = tensors(MLP)
    members = [("fc1/kernel", 1), ("bn1/gamma", 0), ("fc2/kernel", 0)], [("fc2/kernel", 1), ("head/kernel", 0)]
    scores = [squares(*((old[path], axis) for path, axis in own)) for own in members]
    together = np.concatenate([own / own.mean() for own in scores])
    kept = lasting(together, 28 - 10)
    new, result = shrunk(MLP, tmp_path, sparsity=0.35, scope="global")
    assert_equal(tensors(new), mlp_without(old, kept[kept < 16], kept[kept >= 16] - 16))
    assert sum(count for _, count in result.channels.values()) == 18


def test_a_scale_tells_only_of_what_it_normalises(tmp_path: Path) -> None:
    old = tensors(MLP)
    new, result = shrunk(MLP, tmp_path, sparsity=0.5, criterion="bn-scale")
    first = lasting(abs(old["bn1/gamma"]), 8)
    assert_equal(tensors(new), mlp_without(old, first, np.arange(12)))
    assert result.stays["fc2"] == "no weight has a score by bn-scale"


def test_multiples_and_limits(tmp_path: Path) -> None:
    _, result = shrunk(MLP, tmp_path, sparsity=0.3, round_to=8)
    assert result.channels == {"fc1": (16, 8), "fc2": (12, 8)}
    _, result = shrunk(MLP, tmp_path, "limited", sparsity=0.9, max_layer_sparsity=0.25)
    assert result.channels == {"fc1": (16, 12), "fc2": (12, 9)}


def test_random_channels_are_those_of_the_seed(tmp_path: Path) -> None:
    (one, told), (other, _), (again, _) = (
        shrunk(MLP, tmp_path, name, sparsity=0.5, criterion="random", seed=seed)
        for name, seed in [("one", 1), ("other", 2), ("again", 1)]
    )
    assert told.seed == 1
    assert one.read_bytes() == again.read_bytes()
    assert not np.array_equal(tensors(one)["fc1/kernel"], tensors(other)["fc1/kernel"])
    _, told = shrunk(MLP, tmp_path, "sure", sparsity=0.5, seed=1)
    assert told.seed is None


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"include": ["fc1"]}, {"fc1": (16, 8)}),
        ({"exclude": ["fc1"]}, {"fc2": (12, 6)}),
        ({"include": ["fc*"], "exclude": ["*2"]}, {"fc1": (16, 8)}),
    ],
)
def test_layers_are_chosen(options: dict[str, Any], channels: Any, tmp_path: Path) -> None:
    _, result = shrunk(MLP, tmp_path, sparsity=0.5, **options)
    assert result.channels == channels
    (left,) = {"fc1", "fc2"} - {*channels}
    assert result.stays[left] == f"{left} is left out"


def test_a_pattern_that_matches_nothing_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(wtool.Usage, match="no layer that makes channels has a path like 'bn1'"):
        shrunk(MLP, tmp_path, sparsity=0.5, exclude=["bn1"])


def test_units_that_nobody_reads_go_without_a_sparsity(tmp_path: Path) -> None:
    def unread(name: str, values: Array) -> Array:
        if name == "layers/dense_2/vars/0":
            values[[0, 3]] = 0
        return values

    model = changed(MLP, tmp_path / "model.keras", unread)
    target, result = shrunk(model, tmp_path)
    width = tensors(MLP)["fc2/bias"].size
    assert result.channels == {"fc2": (width, width - 2)}
    assert result.same
    assert result.stays == {}
    stays = np.delete(np.arange(width), [0, 3])
    assert_equal(tensors(target), mlp_without(tensors(model), np.arange(tensors(MLP)["fc1/bias"].size), stays))
    assert lineage(target)[-1]["parameters"] == {"optimizer": "follow"}
    _, same = shrunk(MLP, tmp_path, "as", like=target)
    assert same.channels == result.channels
    assert not same.same


def test_constant_units_go_into_the_biases_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A unit of fc1 reads nothing, and a unit of fc2 reads that unit alone; kernels are looked at in pieces."""
    monkeypatch.setattr(kernel_sums, "PIECE", 8)

    def constant(name: str, values: Array) -> Array:
        if name == "layers/dense/vars/0":
            values[:, 2] = 0
        if name == "layers/dense_1/vars/0":
            values[np.arange(len(values)) != 2, 5] = 0
        return values

    model = changed(MLP, tmp_path / "model.keras", constant)
    target, result = shrunk(model, tmp_path)
    assert result.channels == {"fc1": (16, 15), "fc2": (12, 11)}
    old, new = tensors(model), tensors(target)
    first = max(old["fc1/bias"][2], 0) - old["bn1/moving_mean"][2]
    first = first / np.sqrt(old["bn1/moving_variance"][2] + 1e-3) * old["bn1/gamma"][2] + old["bn1/beta"][2]
    before = old["fc2/bias"] + first * old["fc2/kernel"][2]
    np.testing.assert_allclose(new["fc2/bias"], np.delete(before, 5), rtol=1e-5)
    np.testing.assert_allclose(
        new["head/bias"], old["head/bias"] + np.tanh(before[5]) * old["head/kernel"][5], rtol=1e-5
    )


def test_excluded_layers_keep_units_that_nobody_reads(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    wtool.patch(MLP, set=["head/kernel=0"], output=model)
    _, alone = shrunk(model, tmp_path, "alone")
    assert alone.channels == {"fc1": (16, 1), "fc2": (12, 1)}
    _, result = shrunk(model, tmp_path, exclude=["fc2"])
    assert result.channels == {}
    assert result.stays == {"fc2": "fc2 is left out"}


def test_a_model_without_dead_channels_stays_as_it_is(tmp_path: Path) -> None:
    target, result = shrunk(MLP, tmp_path)
    assert result.channels == {}
    assert "none of its channels is dead" in result.notes
    assert_equal(tensors(target), tensors(MLP))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"round_to": 8}, "without a sparsity, channels go that do nothing: no --round-to"),
        ({"criterion": "l1", "scope": "global"}, "no --criterion, --scope"),
        ({"sparsity": 0}, "a sparsity of channels is between 0 and 1, and not 0"),
        ({"sparsity": 1.0}, "a sparsity of channels is between 0 and 1, and not 1"),
        ({"sparsity": 0.5, "round_to": 0}, "round_to is a whole number from 1 up"),
        ({"sparsity": 0.5, "max_layer_sparsity": 0}, "the largest share that a layer loses is above 0"),
        ({"sparsity": 0.5, "criterion": "l3"}, "'l3' is no criterion"),
        ({"sparsity": 0.5, "criterion": "bn-scale", "members": "producer"}, "plays no part in bn-scale"),
        ({"sparsity": 0.5, "like": "other.keras"}, "the model of --as tells which channels go: no --sparsity"),
        ({"like": "other.keras", "round_to": 8, "exclude": ["a"]}, "no --round-to, --exclude"),
        ({"sparsity": 0.5, "verify": True, "dry_run": True}, "verifying needs the old and the new model as files"),
    ],
)
def test_words_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(wtool.Usage, match=words):
        wtool.shrink(MLP, **options)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("k3.15.1/mlp.weights.h5", "shrink needs a whole model"),
        ("k3.15.1/quant_int4.keras", r"no channel can be taken out: q1 \(q1 \(Dense\): it is quantised"),
        ("k3.15.1/quant_int8.keras", r"no channel can be taken out: q1 \(q1 \(Dense\): it is quantised"),
        ("tf2.10/custom_layer.h5", "no channel can be taken out: no layer makes channels that wtool knows"),
    ],
)
def test_models_out_of_which_nothing_can_be_taken(model: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(wtool.Refused, match=words):
        wtool.shrink(FIXTURES / "zoo" / model, sparsity=0.5, output=f"{tmp_path}/")
    assert not list(tmp_path.iterdir())


def test_so_few_channels_that_none_goes(tmp_path: Path) -> None:
    """Of 16 channels all but none stay, where at most a twentieth may go."""
    with pytest.raises(wtool.Refused, match="so few channels go that none of these does"):
        shrunk(MLP, tmp_path, sparsity=0.5, max_layer_sparsity=0.05)


def test_the_record_tells_which_channels_stayed(tmp_path: Path) -> None:
    old = tensors(MLP)
    new, _ = shrunk(MLP, tmp_path, sparsity=0.5, exclude=["fc2"])
    first = lasting(squares((old["fc1/kernel"], 1), (old["bn1/gamma"], 0), (old["fc2/kernel"], 0)), 8)
    record = lineage(new)[-1]
    bits = "".join("1" if channel in first else "0" for channel in range(16))
    assert record["kept"] == {"fc1": {"of": 16, "bits": f"{int(bits, 2):04x}"}}
    assert record["parameters"] == {
        "sparsity": 0.5,
        "criterion": "l2",
        "members": "all",
        "scope": "layer",
        "max_layer_sparsity": 1.0,
        "round_to": 1,
        "exclude": ["fc2"],
        "optimizer": "follow",
    }


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    new, _ = shrunk(MLP, tmp_path, sparsity=0.5)
    before = new.stat()
    _, result = shrunk(MLP, tmp_path, sparsity=0.5)
    assert result.skipped
    assert new.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(wtool.WtoolError, match="exists"):
        shrunk(MLP, tmp_path, sparsity=0.4)


def test_another_model_loses_the_same_channels(tmp_path: Path) -> None:
    """Also if they went in two steps: the initial checkpoint loses all of them at once."""
    half, _ = shrunk(MLP, tmp_path, "half", sparsity=0.5)
    third, _ = shrunk(half, tmp_path, "third", sparsity=0.35, exclude=["fc1"])
    initial = tmp_path / "initial.keras"
    wtool.patch(MLP, set=["fc*/kernel=3"], output=initial)
    for model, like in [(initial, half), (initial, third), (half, third)]:
        new, result = shrunk(model, tmp_path, f"{model.stem}-{like.stem}", like=like)
        assert {path: each.shape for path, each in tensors(new).items()} == {
            path: each.shape for path, each in tensors(like).items()
        }
        assert result.seed is None
        inputs = lineage(new)[-1]["inputs"]
        assert [each["as"] for each in inputs] == ["model", "shrunk"]
    assert (tensors(tmp_path / "initial-third.keras")["fc1/kernel"] == 3).all()
    for path in ("bn1/gamma", "head/kernel"):
        assert np.array_equal(tensors(tmp_path / "initial-third.keras")[path], tensors(third)[path])
    assert tensors(tmp_path / "half-third.keras")["fc2/kernel"].tobytes() == tensors(third)["fc2/kernel"].tobytes()


@pytest.mark.parametrize(
    ("model", "like", "words"),
    [
        (MLP, MLP, "its lineage does not tell which channels `wtool shrink` took out of it"),
        (CNN, "half", "it had 16 channels of fc1, and this model does not know them"),
        ("half", "half", "it had 16 channels of fc1, and this model has 8"),
    ],
)
def test_channels_of_another_architecture(model: Any, like: Any, words: str, tmp_path: Path) -> None:
    half, _ = shrunk(MLP, tmp_path, "half", sparsity=0.5)
    with pytest.raises(wtool.Refused, match=words):
        shrunk(half if model == "half" else model, tmp_path, like=half if like == "half" else like)


def test_another_activation_is_another_architecture(tmp_path: Path) -> None:
    half, _ = shrunk(MLP, tmp_path, "half", sparsity=0.5)
    other = changed(MLP, tmp_path / "other.keras", lambda name, value: value, lambda text: text.replace("relu", "tanh"))
    with pytest.raises(wtool.Refused, match="is not what this model becomes without these channels"):
        shrunk(other, tmp_path, like=half)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        {"fc1": 3},
        {"fc1": {"of": 16}},
        {"fc1": {"of": 16, "bits": "zz"}},
        {"fc1": {"of": 16, "bits": "ff"}},
        {"fc1": {"of": True, "bits": "ff"}},
        {"fc1": {"of": 10**30, "bits": "ff"}},
        {"fc1": {"of": 16, "bits": 5}},
        {"fc1": {"of": 16, "bits": "0000"}},
    ],
)
def test_lineages_of_strangers(kept: Any, tmp_path: Path) -> None:
    """A record of anybody's: one line, and no crash."""
    record = {"operation": "shrink", "kept": kept}
    strange = tmp_path / "strange.keras"
    with zipfile.ZipFile(MLP) as old, zipfile.ZipFile(strange, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "metadata.json":
                content = json.dumps({**json.loads(content), "wtool_lineage": [record]}).encode()
            new.writestr(member, content)
    with pytest.raises(wtool.Refused):
        shrunk(MLP, tmp_path, like=strange)


@pytest.mark.parametrize("mode", ["follow", "keep", "reset", "drop"])
def test_what_becomes_of_the_optimizer(mode: str, tmp_path: Path) -> None:
    new, _ = shrunk(MLP, tmp_path, sparsity=0.5, optimizer=mode)
    slots = {path: each for path, each in tensors(new).items() if path.startswith("optimizer/velocity")}
    assert bool(slots) == (mode != "drop")
    assert all((each == 0).all() == (mode == "reset") for each in slots.values())


def test_the_words_of_the_command(tmp_path: Path) -> None:
    done = run("shrink", MLP, "--sparsity", ".5", "--exclude", "fc2", "-o", tmp_path / "new.keras")
    assert done.returncode == 0, done.stderr
    assert "fc2 stays: fc2 is left out" in done.stderr.decode()
    assert (
        "8 channels of 1 group taken out; 451 to 251 parameters (1,804 to 1,004 bytes), 356 to 196"
        in done.stderr.decode()
    )
    assert not done.stdout
    done = run("shrink", MLP, "--sparsity", ".5", "-n")
    assert "channels of  now  would stay" in done.stdout.decode()
    assert ["fc2", "204", "54", "192", "48"] in [line.split() for line in done.stdout.decode().splitlines()]
    done = run("shrink", MLP, "--as", tmp_path / "new.keras", "--json", "-q", "-o", tmp_path / "again.keras")
    assert json.loads(done.stdout)["channels"] == {"fc1": [16, 8]}


def test_folders_and_pipes(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for name in ("a", "b"):
        (zoo / f"{name}.keras").write_bytes(MLP.read_bytes())
    results = wtool.shrink(zoo, sparsity=0.5, output=f"{tmp_path}/small/", jobs=2)
    assert [Path(str(each.output)).name for each in results] == ["a.keras", "b.keras"]
    assert (tmp_path / "small" / "a.keras").read_bytes() != MLP.read_bytes()
    done = run("shrink", "-", "--sparsity", ".5", "-o", "-", stdin=MLP.read_bytes())
    assert done.returncode == 0, done.stderr
    (tmp_path / "piped.keras").write_bytes(done.stdout)
    assert_equal(tensors(tmp_path / "piped.keras"), tensors(tmp_path / "small" / "b.keras"))
    wtool.shrink(zoo / "a.keras", sparsity=0.5, in_place=True)
    assert_equal(tensors(zoo / "a.keras"), tensors(tmp_path / "small" / "b.keras"))


def test_bound_channels_of_a_recurrent_model(tmp_path: Path) -> None:
    """Units go from all gates; both directions read the same embedding."""
    old = tensors(RNN)
    new, result = shrunk(RNN, tmp_path, sparsity=0.5, include=["emb", "gru"])
    assert result.channels == {"emb": (6, 3), "gru": (4, 2)}
    units = lasting(
        squares(
            (np.stack(np.split(old["gru/gru_cell/kernel"], 3, axis=1)), 2),
            (np.stack(np.split(old["gru/gru_cell/recurrent_kernel"], 3, axis=1)), 2),
            (old["gru/gru_cell/recurrent_kernel"], 0),
            (old["out/kernel"], 0),
        ),
        2,
    )
    columns = np.concatenate([units, units + 4, units + 8])
    made = tensors(new)
    assert np.array_equal(
        made["gru/gru_cell/recurrent_kernel"], old["gru/gru_cell/recurrent_kernel"][np.ix_(units, columns)]
    )
    assert np.array_equal(made["gru/gru_cell/bias"], old["gru/gru_cell/bias"][:, columns])
    for direction in ("forward", "backward"):
        assert made[f"bi/{direction}_lstm/lstm_cell/kernel"].shape == (3, 20)
