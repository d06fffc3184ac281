"""Many lines without a prompt: planned, made as soon as they have arrived, and gone on with where they were killed."""
