# fne in a container, for processors or for GPUs:
#
#     docker build -t fne .
#     docker build -t fne-gpu --build-arg EXTRAS='[gpu,report]' .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -v fne-weights:/weights fne try photos/ --model mini
#
# With GPUs add --gpus all; CUDA comes with TensorFlow's packages, the machine needs NVIDIA's driver and container
# toolkit. `fne doctor` says what it sees.
FROM python:3.11-slim
ARG EXTRAS=[report]
COPY pyproject.toml setup.cfg constraints.txt README.md LICENSE /src/
COPY fne_cli /src/fne_cli
COPY docs/man /src/docs/man
RUN pip install --no-cache-dir --constraint /src/constraints.txt "/src${EXTRAS}" \
    && rm -r /src \
    && mkdir -m 1777 /weights /work
# Whoever runs it may be nobody that the image knows: no home, and caches where everybody may write.
ENV HOME=/tmp KERAS_HOME=/weights MPLCONFIGDIR=/tmp NUMBA_CACHE_DIR=/tmp
USER 1000
WORKDIR /work
ENTRYPOINT ["fne"]
CMD ["--help"]
