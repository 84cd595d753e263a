"""The subcommands of `wordspot`, one module each."""
