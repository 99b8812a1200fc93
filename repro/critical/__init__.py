"""Critical points of teacher-student losses: derivatives, Newton, classes, certificates, counts.

Students are float64 arrays `theta` [S, 3, m]: row 0 and 1 the two incoming weights, row 2 the
outgoing weight of each of m neurons. Flattened to [S, 3m] this is the order of the authors' code.
Students with biases are [S, 4, m], with a row of biases before the outgoing weights; where shapes
say d it is 2, with biases 3.
"""
