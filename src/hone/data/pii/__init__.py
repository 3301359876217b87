"""Personal data in text: where it is, of which kind, and how to show it without showing it.

Each kind is found by its public format and, where it has one, its check digit. Where a format says too little (nine
digits may be anything), a word near it must name the kind.
"""
