"""One HDF5 file: what stands where, reading it with distrust, writing it chunk by chunk."""
