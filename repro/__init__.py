"""Reruns of five works on minima, memorisation and generalisation of neural networks."""
