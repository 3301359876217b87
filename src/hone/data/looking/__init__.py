"""Looking: a profile of the data as one JSON document, and the report that shows it."""
