"""Tests of micronas_tf.datasets."""
