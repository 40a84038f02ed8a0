"""The demo group: one consumer group with three brands, the same on every machine."""

from server.demo.load import DemoResult, SampleFan, is_loaded, load

__all__ = ["DemoResult", "SampleFan", "is_loaded", "load"]
