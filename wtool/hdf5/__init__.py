"""HDF5: a strict reader, a writer, and the HDF5 library in a child process. Nothing of Keras."""
