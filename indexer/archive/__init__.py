"""The archive: recordings are added, indexed into segments that a catalogue names, and served as views."""
