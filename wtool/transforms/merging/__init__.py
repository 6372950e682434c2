"""Several models into one: the methods, what each needs, and the numbers that they take."""
