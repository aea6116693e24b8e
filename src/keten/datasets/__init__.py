"""Datasets: data with an owner, a classification and a retention."""
