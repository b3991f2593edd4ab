"""Methods for `Pairing`, one file each."""
