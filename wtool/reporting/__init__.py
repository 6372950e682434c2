"""Pages that show models and trainings in a browser: one file each, with everything in it."""
