"""The interval of a rate. It needs no torch, and so takes none of its time."""

import math
from statistics import NormalDist

from advlib.settings import WHOLE, Rule


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
    n = WHOLE.check("n", n)
    counted = Rule(int, f"a whole number from 0 to n = {n}", lambda count: 0 <= count <= n)
    share = Rule(float, "a number above 0 and below 1", lambda level: 0 < level < 1)
    rate = counted.check("errors", errors) / n
    z = NormalDist().inv_cdf((1 + share.check("level", level)) / 2)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    # The interval holds the rate and lies in [0, 1], except for rounding at its ends.
    return 100 * max(0.0, min(rate, centre - half)), 100 * min(1.0, max(rate, centre + half))
