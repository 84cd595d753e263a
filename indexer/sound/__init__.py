"""Sound: a file is decoded to samples, in which speech regions and spans are found."""
