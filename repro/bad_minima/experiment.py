"""Train one network from a random or an adversarial start.

An adversarial start is a network pre-trained on random labels of the same images (Algorithm 1), a
run of its own in the stage `pretrain`, found by its settings or made first. From it "vanilla" SGD
(no augmentation, no L2, no momentum) ends in a bad global minimum; the three together, "SOTA", do
not. Figures and tables are grids of such runs, in configs/bad_minima/.

Where this departs from the authors' code for CIFAR-10, or fills what is not known:

* R and N: their generator says R=10, their trainers R=1; both N=0.1. Here R=1, N=0.1. N counts
  entries, as in their code; --zero_unit=pixels is the paper's text.
* Pre-training ends at 99.99 % in inference mode, looked at every --eval_every epochs, as theirs.
* The last batch of an epoch is filled up to full size (pipeline.epoch_order).
* Moving variances are those of the batch, without PyTorch's n / (n - 1).
* Train accuracy is measured without augmentation.
* A seed's pre-training and its random start begin at the same weights, and with R=1 the images of
  pre-training and main training come in the same order.
* Other datasets train as CIFAR-10 does: what the authors did there could not be read.
* --noshuffle, --batch_statistics and --reset_batch_norm do as the JAX rerun did.
"""

import keras

from repro import curvature, norms
from repro.bad_minima import data as relabelled
from repro.bad_minima import flatness, starts, toy
from repro.bad_minima.kept import Kept
from repro.bad_minima.opening import open_run as open_run
from repro.bad_minima.recipe import build, fit_by_sgd
from repro.bad_minima.settings import Pretrain, Toy, Train
from repro.training import step
from repro.training.runs import Job

SHARPNESS_BATCH = 100  # images whose activations are kept at a time


def run(settings: Train | Pretrain | Toy, job: Job) -> dict:
    """Make a run of any stage and return its result."""
    stages = {"train": train, "pretrain": starts.pretrain, "toy": toy.run}
    return stages[settings.stage](settings, job)


def train(settings: Train, job: Job) -> dict:
    """Train one network on true labels from its start and return the result of the run."""
    s = settings
    start = starts.find_or_make(s, job)
    data = relabelled.true_labels(s, job.data_dir, job.download)
    network, architecture = build(s, data, job.strategy)
    if start:
        starts.load(start, network, architecture, reset_batch_norm=s.reset_batch_norm)

    # What is measured beside losses and accuracies: how far it went, norms, margins.
    weights, measure_norms = norms.snapshot(network), norms.readings(network)
    initial_norms = measure_norms()
    test_by_batch = step.make_evaluate(network, job.strategy, batch_statistics=True)
    measures = {
        "distance": lambda: norms.distances(weights, network),
        "norms": measure_norms,
        "margins": lambda: norms.margins(norms.logits_on(network, data.images), data.labels),
    }
    if s.batch_statistics:
        measures["test"] = lambda: test_by_batch(data.test_batches)

    kept = None
    if s.keep_weights:
        kept = Kept(job, network, s.keep_weights, s.epochs, s.eval_every, measures)
    outcome = fit_by_sgd(
        s,
        job,
        network,
        data,
        measures,
        momentum=s.momentum,
        weight_decay=s.weight_decay,
        sam_rho=s.sam_rho,
        kept=kept,
    )
    result = {
        **outcome,
        "pretrain_accuracy": start and start.result["train_accuracy"],
        "pretraining": start and {"directory": start.path.name, **start.result},
        "parameters": sum(v.value.shape.num_elements() for v in network.trainable_variables),
        **data.facts,
        "initial_norms": norms.nested(initial_norms),
    }
    if outcome["status"] == "complete":
        result["test_accuracy_batch_statistics"] = test_by_batch(data.test_batches)["accuracy"]
        result |= norms.summary(network, weights, data.images, data.labels)
        result |= flatness.at_end(s, network, data)
        if s.sharpness_examples:
            result["sharpness"] = sharpness(network, data, s.sharpness_examples)
    return result


def sharpness(network: keras.Model, data: relabelled.TrainingData, examples: int) -> dict:
    """Return the largest eigenvalue of the cross-entropy's Hessian on the first examples."""
    first = (data.images[:examples], data.labels[:examples])
    copy = norms.at_dtype(network, "float32")  # whatever precision and devices trained it
    measured = curvature.sharpness(copy, step.cross_entropy, first, batch_size=SHARPNESS_BATCH)
    return measured.without_vector()
