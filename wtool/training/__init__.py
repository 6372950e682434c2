"""Training between the transforms of files: models are loaded, go on training, are evaluated and saved. Needs Keras."""
