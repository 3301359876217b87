"""llama.cpp through its C interface: passes of ids, its tokenizer, its own clock."""
