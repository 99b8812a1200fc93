"""The stages of repro.mode_connectivity, which is all that uses this room.

    names.py      modes and points by name, their epochs, what cannot work
    context.py    what stages share: data, network, points on disk
    training.py   endpoint and curve
    measuring.py  evaluate and study
    planes.py     plane
    slices.py     slice
"""
