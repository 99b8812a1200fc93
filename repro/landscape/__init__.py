"""Loss landscapes: curves between networks, planes, random directions, trajectories, alignment.

A point of weight space is a list of arrays in the order of `model.trainable_variables`. A network
is evaluated anywhere by writing a point into it; no layer is special.
"""
