"""One step on many machines. Dask carries plain settings to the workers; big results go through the shared file system.

`named` turns the word of --cluster into what a step takes; `parsing`, `spec` and `jobs` say where the workers are;
`start` brings them; `pool` knows who is there; `run` keeps tasks going whatever dies; `engine` is all of that for a
step; `worker` is what runs on the other side.
"""
