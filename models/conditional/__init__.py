"""Models that answer a condition: a description, a document, a picture, a clip; one file each."""
