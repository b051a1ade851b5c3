"""Predictions of a network for the images of a split, and their scores."""
