"""GGUF files: what is written into them, and the runtime that opens them."""
