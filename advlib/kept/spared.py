"""A slow import that programs which read notebooks are spared: to be imported before nbformat.

rfc3987_syntax, with which jsonschema checks one rarely used format, builds a parser at import: more
than a second in each program. Where it is missing, jsonschema does without.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
