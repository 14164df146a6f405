"""The precision ladder: what a device makes of each kind of number, so that the gain of quantisation is a figure."""
