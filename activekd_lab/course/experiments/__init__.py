"""Tables over seeds that the notebooks and the README quote. Speed is measured in `bench`."""
