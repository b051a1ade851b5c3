"""All folds of a data set as ordinary runs, their out-of-fold scores, and their ensemble."""

from kerascnn.cross_validation.validating import of_config

__all__ = ["of_config"]
