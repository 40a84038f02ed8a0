from tests.fixtures import plain_settings

__all__ = ["plain_settings"]
