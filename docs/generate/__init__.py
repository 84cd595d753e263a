"""What of the documentation is made from the code: the picture of the layers, and the reference."""
