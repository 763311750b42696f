"""From trained weights to a registered model: the steps, their checks, and the long pass."""
