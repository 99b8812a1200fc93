"""What initial weights are drawn from, and weights that are kept on the way."""

import json
import math
import types

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from repro.bad_minima import kept, recipe
from repro.bad_minima.opening import open_run
from repro.bad_minima.settings import ZERO_LOGITS, Train
from repro.norms import frobenius, snapshot
from repro.settings import name, settle

SETTINGS = Train(
    dataset="digits",
    train_examples=60,
    epochs=5,
    drop_at=(2,),
    batch_size=32,
    eval_every=2,
    sharpness_examples=0,
    keep_weights=3,
)


# --- initial weights ------------------------------------------------------------------------------


def built(initializer):
    settings = Train(model="vgg16_gap", width=0.0625, initializer=initializer)
    data = types.SimpleNamespace(image_shape=(8, 8, 3), num_classes=10)
    return recipe.build(settings, data, tf.distribute.get_strategy())[0]


def kernels(network):
    return [w.numpy() for w in network.trainable_weights if w.name == "kernel"]


def test_the_jax_reruns_start():
    """He's uniform distribution: within sqrt(6 / fan in), nearly all of it; logits are zero."""
    *hidden, last = kernels(built(ZERO_LOGITS))
    assert (last == 0).all()
    for kernel in hidden:
        bound = math.sqrt(6 / np.prod(kernel.shape[:-1]))
        largest = np.abs(kernel).max()
        # of n uniform draws the largest is within 12 / n of the bound, but for e^-12
        assert bound * (1 - 12 / kernel.size) < largest <= bound * (1 + 1e-6)


def test_an_initializer_is_of_all_kernels_and_names_the_run():
    """Glorot's bound is sqrt(6 / (fan in + fan out)); PyTorch's own 1 / sqrt(fan in)."""
    for initializer, bound in (
        ("glorot_uniform", lambda inputs, area, outputs: 6 / (area * (inputs + outputs))),
        (None, lambda inputs, area, outputs: 1 / (area * inputs)),
    ):
        for kernel in kernels(built(initializer)):
            *window, inputs, outputs = kernel.shape
            limit = math.sqrt(bound(inputs, math.prod(window), outputs))
            assert limit * (1 - 12 / kernel.size) < np.abs(kernel).max() <= limit * (1 + 1e-6)
    own, other = (settle(Train(initializer=each))[0] for each in (None, "he_normal"))
    assert name(own) == name(settle(Train())[0]) and "he_normal" in name(other)
    adversarial = Train(init="adversarial", initializer="he_normal")
    assert adversarial.pretraining().initializer == "he_normal"  # it starts there, too
    with pytest.raises(ValueError, match="--initializer=ones is none of glorot_normal"):
        Train(initializer="ones")


# --- weights that are kept ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(make, tiny_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "run"
    return path, make(SETTINGS, path)


def rows(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_kept_weights_are_measured_and_can_be_opened(whole):
    """Every third epoch and the last; evaluations are every second one, so 3 has no accuracy."""
    path, result = whole
    lines = rows(path)
    assert sorted(f.name for f in path.glob("checkpoints/epoch_*.npz")) == [
        "epoch_3.npz",
        "epoch_5.npz",
    ]
    assert [n for n, line in enumerate(lines) if "distance/all" in line] == [0, 2, 3, 4, 5]
    assert "test/accuracy" not in lines[3] and "test/accuracy" in lines[5]
    opened = open_run(path, download=False, epoch=3)
    assert frobenius(opened.network)["frobenius"] == pytest.approx(lines[3]["norms/frobenius"])
    last, end = (open_run(path, download=False, epoch=epoch).network for epoch in (5, None))
    for one, other in zip(last.get_weights(), end.get_weights()):
        np.testing.assert_array_equal(one, other)
    moved = [np.abs(a - b).max() for a, b in zip(snapshot(opened.network), snapshot(end))]
    assert max(moved) > 0 and result["status"] == "complete"


def test_weights_that_were_not_kept(whole):
    with pytest.raises(ValueError, match="no weights of epoch 4: kept are those after 3, 5"):
        open_run(whole[0], download=False, epoch=4)


def test_kept_weights_of_another_network_are_named(tmp_path):
    network = built(None)
    file = kept.file(epath.Path(tmp_path), 3)
    for change in (lambda w: w[:-1], lambda w: [*w[:-1], w[-1][:1]], lambda w: [a.T for a in w]):
        np.savez(file, *change(network.get_weights()))
        with pytest.raises(ValueError, match=r"epoch_3\.npz holds weights of another network"):
            kept.load(network, epath.Path(tmp_path), 3)


def test_keeping_changes_nothing_and_is_a_run_of_its_own(whole, make, tmp_path):
    plain = make(SETTINGS.replace(keep_weights=None), tmp_path / "plain")
    assert plain["train_loss"] == whole[1]["train_loss"]
    assert not list(tmp_path.glob("plain/checkpoints/epoch_*"))
    assert name(settle(SETTINGS)[0]) != name(settle(SETTINGS.replace(keep_weights=None))[0])


@pytest.mark.slow
def test_in_parts_equals_in_full(whole, make, killed, tmp_path):
    """Killed after the row of an epoch that keeps weights, before they are written."""
    with killed(3):
        make(SETTINGS, tmp_path / "run")
    assert not kept.file(tmp_path / "run" / "checkpoints", 3).exists()
    make(SETTINGS, tmp_path / "run")
    assert rows(tmp_path / "run") == rows(whole[0])
    for epoch in (3, 5):
        files = (kept.file(path / "checkpoints", epoch) for path in (tmp_path / "run", whole[0]))
        one, other = (np.load(file) for file in files)
        assert list(one) == list(other)
        for each in one:
            np.testing.assert_array_equal(one[each], other[each])
