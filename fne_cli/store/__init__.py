"""The HDF5 format: schema, reader, writer, resume, verification. The only room that touches h5py."""
