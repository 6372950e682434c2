"""Plots of models and of runs: the only room that imports matplotlib, and that late."""
