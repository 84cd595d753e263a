"""What a program in Python calls the services with; `wordspot` gives its names."""
