"""Measuring what the library costs: what `sdk_workflow benchmark` runs and the programs of benchmarks/ share."""
