"""One step on many machines. Dask carries plain settings to the workers; big results go through the shared file system.

`engine` keeps tasks going whatever dies; `worker` is what runs on the other side; `spec` says where the workers are.
"""
