"""Loss landscapes of any Keras model: curves, planes, random directions, trajectories, alignment.

A point of weight space is a list of arrays in the order of `model.trainable_variables`; no layer is
special. Paths, planes and slices give points, and `measure(point)`, yours, gives numbers there:

    from repro.landscape import curves, evaluation, planes, points

    a, b, bend = (points.get(model) for model in (one, other, third))
    path = curves.Polychain([a, bend, b])
    ts = evaluation.grid(61)
    along = evaluation.measure_points(61, lambda i: path.at(ts[i]), measure)
    evaluation.summarize(along["loss"], evaluation.arc_length(path, ts))

    plane = planes.through(a, b, bend)
    planes.project(plane, points.get(fourth)).coordinates

Batch norm wants its statistics re-estimated at every point: `batch_norm.make_reestimate`.

To bring one network's neurons into the order of another's, weights being `model.weights`:

    symmetry = permutations.find(model)  # proved on random weights and examples
    mine, theirs = (alignment.get_weights(model) for model in (one, other))
    found = alignment.match_weights(symmetry, mine, theirs)
    alignment.put_weights(other, permutations.permute(symmetry, found, theirs))
"""
