"""What all tests share."""

from hypothesis import settings

# The suite runs on every core at once: how long one example takes says nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
