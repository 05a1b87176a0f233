"""The report: executed notebooks to HTML and PDF."""

import advlib.kept.spared  # noqa: F401  # before any part of it imports nbconvert

LIVE = "application/vnd.advlib.live+json"
"""The media type of what `live.pack` gives, in the output that shows the figure; `live` itself
imports torch."""


class ReportError(ValueError):
    """The report cannot be built; the message says why and, where it is known, in which cell."""
