"""Intervals for rates."""

import math
from numbers import Integral, Real
from statistics import NormalDist


def wilson_interval(errors: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a rate.

    Parameters
    ----------
    errors : int
        How many of the images are errors, from 0 to `n`.
    n : int
        How many images there are, at least 1.
    level : float, optional
        The confidence level, above 0 and below 1.

    Returns
    -------
    tuple of float
        The lower and the upper end, in percent.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22, 1927.
    """
    for name, count in (("errors", errors), ("n", n)):
        if not isinstance(count, Integral) or isinstance(count, bool):
            raise TypeError(f"{name} must be a whole number, not {count!r}")
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if not 0 <= errors <= n:
        raise ValueError(f"errors must be from 0 to n = {n}, not {errors}")
    if not isinstance(level, Real) or isinstance(level, bool):
        raise TypeError(f"level must be a number, not {level!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be above 0 and below 1, not {level!r}")
    rate = int(errors) / int(n)
    z = NormalDist().inv_cdf((1 + float(level)) / 2)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    # The interval holds the rate and lies in [0, 1], except for rounding at its ends.
    return 100 * max(0.0, min(rate, centre - half)), 100 * min(1.0, max(rate, centre + half))
