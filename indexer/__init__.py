"""The archive, room by room: sound, then vectors, then the archive that keeps both, then search in it."""
