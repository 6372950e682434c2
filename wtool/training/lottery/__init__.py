"""The lottery-ticket experiment: training and the operations on files, in their order."""
