"""Measurements of kdsearch against what people use today; see benchmarks/README.md."""
