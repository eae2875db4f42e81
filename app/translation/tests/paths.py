"""Where things lie in this workload."""

from pathlib import Path

WORKLOAD = Path(__file__).parents[1]
DATA = WORKLOAD / "tests" / "data"
DOCS = WORKLOAD / "docs"
MIXED = WORKLOAD / "tests" / "mixed"
