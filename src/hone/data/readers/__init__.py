"""One module per format: a reader takes a :class:`~hone.data.readers.opening.DataFile` and streams rows."""
