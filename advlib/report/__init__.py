"""The report: executed notebooks to HTML and PDF."""


class ReportError(ValueError):
    """The report cannot be built; the message says why and, where it is known, in which cell."""
