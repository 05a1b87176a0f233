"""What nbformat does without; import this before anything that imports it.

jsonschema's check of one rarely used format builds a parser at import, more than a second in each
of our programs that read or write notebooks. It does without where this module is missing.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
