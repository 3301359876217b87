"""One module per format. A reader takes a :class:`~hone.data.readers.opening.DataFile` and a progress, and streams rows."""
