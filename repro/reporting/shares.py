"""Shares of trials and how sure they are."""


def wilson(hits: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return Wilson's interval for a share of `hits` in `trials`, 95 percent by default."""
    share, weight = hits / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = (weight * (share * (1 - share) + weight / 4)) ** 0.5 / (1 + weight)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def text(hits: int, trials: int) -> str:
    """Return `347 of 1,000 (31.8% to 37.7%)`, the interval Wilson's."""
    low, high = wilson(hits, trials)
    return f"{hits:,} of {trials:,} ({low:.1%} to {high:.1%})"
