"""The stages of repro.mode_connectivity that train: endpoint and curve.

Each takes a Context, trains or goes on training, and returns the result of the run.
"""

import types

import numpy as np

from repro.mode_connectivity.context import (
    Context,
    build_network,
    curve_snapshots,
    decayed_weights,
    load,
    load_point,
    prepare_data,
    protocol,
    save_point,
)
from repro.mode_connectivity.names import (
    AVERAGED_FROM,
    EPOCHS,
    FGE_LOWEST,
    MILESTONES,
    MODES,
    SGDR,
    kept_epochs,
    middles,
    scaled,
)

SEEDS_APART = 1000  # more than there are modes: seeds of modes never meet


# --- endpoint -------------------------------------------------------------------------------------


def endpoint(context: Context) -> dict:
    """Train one mode and keep its iterates."""
    from repro.landscape import points
    from repro.training import checkpoints, loop, optimizers, step
    from repro.mode_connectivity import schedules

    s, mode = context.settings, context.settings["mode"]
    change = MODES[mode]
    batch_size = s["large_batch_size"] if mode == "A" else s["batch_size"]
    seed = s["seed"]
    if s["mode_seeds"] == "own":
        seed = SEEDS_APART * seed + list(MODES).index(mode)
    data = prepare_data(
        context, batch_size=batch_size, augment=change.get("augment", s["augment"]), seed=seed
    )
    network = build_network(context, data, seed, change.get("init_scale", 1.0))
    epochs = scaled(EPOCHS, s["epoch_scale"])
    rates = learning_rates(s, data.train.steps)
    with context.strategy.scope():
        if mode == "B":
            optimizer = optimizers.adam(schedules.Rates(rates), s["precision"])
        else:
            optimizer = optimizers.sgd(schedules.Rates(rates), s["momentum"], s["precision"])
        optimizer.build(network.trainable_variables)

    kept = {scaled(e, s["epoch_scale"]): e for e in kept_epochs(mode, s["cycle_epochs"])}

    def keep(epoch: int) -> None:
        if epoch in kept and context.run.chief:
            save_point(context.run.path / "points" / f"epoch_{kept[epoch]}", points.get(network))

    outcome = loop.fit(
        data=lambda epoch: data,
        train_steps=step.make_train_steps(
            network, optimizer, context.strategy, xla=s["xla"],
            weight_decay=s["weight_decay"] * change.get("weight_decay", 1.0),
            decayed=decayed_weights(context, network),
        ),
        evaluate=step.make_evaluate(network, context.strategy), strategy=context.strategy,
        stop=loop.Stop(epochs), run=context.run,
        checkpoints=checkpoints.Checkpoints(
            context.run.path / "checkpoints", network, optimizer, chief=context.run.chief
        ),
        environment=context.environment, eval_every=s["eval_every"],
        checkpoint_every=context.checkpoint_every, keep=keep,
    )  # fmt: skip
    context.run.save_arrays(learning_rate=rates)
    return {
        "status": outcome["status"], "epochs": outcome["epoch"], "steps": outcome["step"],
        **{f"{split}_{quantity}": outcome.get(f"{split}/{quantity}")
           for split in ("train", "test") for quantity in ("loss", "accuracy")},
        "parameters": sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        **gathered(context, network, data, mode), **data.facts,
        "protocol": protocol(context, data), "seconds": outcome["seconds"],
    }  # fmt: skip


def learning_rates(s: dict, steps_per_epoch: int) -> np.ndarray:
    """Return the rate of each step of an endpoint, [steps], from its flags."""
    from repro.mode_connectivity import schedules

    mode, rate = s["mode"], s["learning_rate"]
    update = s["sgdr_update"] if mode == "sgdr" else "step" if mode == "fge" else "epoch"
    at = schedules.positions(scaled(EPOCHS, s["epoch_scale"]), steps_per_epoch, update)
    at = np.round(at / s["epoch_scale"], 9)  # in epochs of the paper; 12 / 0.2 must be 60

    def default(position):
        if s["schedule"] == "constant":
            return schedules.constant(position, rate)
        if s["schedule"] == "garipov":
            return schedules.towards(position, rate, rate / 100, EPOCHS)
        return schedules.step_decay(position, rate, MILESTONES.get(mode, MILESTONES["G"]))

    if mode == "B":
        return schedules.step_decay(at, s["adam_learning_rate"], MILESTONES["G"])
    if mode == "C":
        return schedules.linear_decay(at, rate, EPOCHS)
    if mode == "sgdr":
        return schedules.sgdr(at, **{**SGDR, "highest": rate})
    if mode == "swa":
        return schedules.towards(at, rate, s["swa_learning_rate"], AVERAGED_FROM)
    if mode == "fge":
        cycles = {"highest": rate, "lowest": FGE_LOWEST, "cycle": s["cycle_epochs"]}
        return schedules.then(
            at, AVERAGED_FROM, default, lambda position: schedules.cyclic(position, **cycles)
        )
    return default(at)


def gathered(context: Context, network, data, mode: str) -> dict:
    """Return test accuracies of what swa averages and fge ensembles; nothing for other modes."""
    if mode not in ("swa", "fge"):
        return {}
    from repro.landscape import batch_norm, points
    from repro.training import step

    epochs = kept_epochs(mode, context.settings["cycle_epochs"])
    if mode == "fge":
        epochs = middles(context.settings["cycle_epochs"])
    found = [load_point(context.run.path / "points" / f"epoch_{epoch}") for epoch in epochs]
    reestimate = batch_norm.make_reestimate(network)

    def go_to(point) -> None:
        points.put(network, point)
        reestimate(images for images, _ in data.statistics.epoch(1))

    if mode == "swa":
        average = points.combine([1 / len(found)] * len(found), found)
        if context.run.chief:
            save_point(context.run.path / "points" / "average", average)
        go_to(average)
        evaluate = step.make_evaluate(network, context.strategy)
        accuracy = evaluate(data.evaluations["test"])["accuracy"]
        return {"averaged": len(found), "average_test_accuracy": accuracy}
    images, labels = data.arrays["test"]
    probabilities = 0.0
    for point in found:
        go_to(point)
        logits = network.predict(images, batch_size=100, verbose=0)
        probabilities = probabilities + np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])
    right = probabilities.argmax(axis=1) == labels
    return {"ensembled": len(found), "ensemble_test_accuracy": float(right.mean())}


# --- curve ----------------------------------------------------------------------------------------


def curve(context: Context) -> dict:
    """Train a curve between two points and keep its nodes at several epochs."""
    from repro.landscape import curve_training, curves
    from repro.training import checkpoints, loop, optimizers, step
    from repro.mode_connectivity import schedules

    s = context.settings
    start, end = (load(context, s[name]) for name in ("from", "to"))
    data = prepare_data(context)
    network = build_network(context, data)
    end = _aligned(context, network, start, end, data)
    epochs = scaled(s["curve_epochs"], s["epoch_scale"])
    at = schedules.positions(epochs, data.train.steps, "epoch")
    rate = s["curve_learning_rate"]
    last = rate / 100 if s["curve_schedule"] == "garipov" else rate
    rates = schedules.towards(at, rate, last, epochs)
    nodes = curves.straight_nodes(start, end, s["bends"])
    with context.strategy.scope():
        variables = curve_training.CurveVariables(nodes, free_ends=s["free_ends"])
        optimizer = optimizers.sgd(schedules.Rates(rates), s["momentum"], s["precision"])
        optimizer.build(variables.trainable)
    decayed = {v.path for v in decayed_weights(context, network)}
    curve_step = curve_training.make_curve_step(
        network, variables, optimizer, step.cross_entropy, kind=s["curve"],
        decayed=[v.path in decayed for v in network.trainable_variables],
        weight_decay=s["weight_decay"], seed=s["seed"], sampling=s["curve_t"],
        replicas=context.strategy.num_replicas_in_sync, xla=s["xla"],
    )  # fmt: skip
    kept = {scaled(e, s["epoch_scale"]): e for e in curve_snapshots(s)}

    def keep(epoch: int) -> None:
        for number, node in enumerate(variables.get() if epoch in kept else ()):
            place = context.run.path / "points" / f"epoch_{kept[epoch]}" / f"node_{number}"
            if context.run.chief:
                save_point(place, node)

    unmeasured = types.SimpleNamespace(train=data.train, evaluations={})
    outcome = loop.fit(
        data=lambda epoch: unmeasured, train_steps=step.repeated(curve_step, context.strategy),
        evaluate=None, strategy=context.strategy, stop=loop.Stop(epochs), run=context.run,
        checkpoints=checkpoints.Checkpoints(
            context.run.path / "checkpoints", network, optimizer, chief=context.run.chief,
            others=variables.trainable,
        ),
        environment=context.environment, checkpoint_every=context.checkpoint_every, keep=keep,
    )  # fmt: skip
    return {
        "status": outcome["status"], "epochs": outcome["epoch"], "steps": outcome["step"],
        "running_loss": outcome.get("train/running_loss"), **data.facts,
        "protocol": protocol(context, data), "seconds": outcome["seconds"],
    }  # fmt: skip


def _aligned(context: Context, network, start, end, data) -> list[np.ndarray]:
    """Return `end` with its neurons in the order of those of `start`, as --align says."""
    from repro.landscape import alignment, batch_norm, permutations, points

    kind = context.settings["align"]
    if kind == "none":
        return end
    symmetry, reestimate = permutations.find(network), batch_norm.make_reestimate(network)
    images = [images for images, _ in data.statistics.epoch(1)]
    weights = []
    for point in (start, end):
        points.put(network, point)
        reestimate(images)
        weights.append(alignment.weights_by_path(network))
    if kind == "weights":
        trained = {v.path for v in network.trainable_variables}
        kept = [{path: w[path] for path in trained} for w in weights]
        found = alignment.match_weights(symmetry, *kept, seed=context.settings["seed"])
    else:
        found = alignment.match_activations(network, symmetry, *weights, images[:10])
    moved = permutations.permute(symmetry, found, weights[1])
    return [moved[v.path] for v in network.trainable_variables]
