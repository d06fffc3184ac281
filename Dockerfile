# invoke in a container:                 docker build -t invoke .
# a small one without CUDA:              docker build -t invoke:cpu --build-arg TORCH_INDEX=ADDRESS .
#                                        (ADDRESS: what pytorch.org/get-started shows for pip and CPU)
# the shell, in the current folder:      docker run --rm -it -v "$PWD:/work" invoke      (with --gpus all where there are)
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=""
COPY constraints.txt /tmp/
COPY --from=build /wheels /wheels
RUN if [ -n "$TORCH_INDEX" ]; then \
        python -m pip install --no-cache-dir -c /tmp/constraints.txt torch --extra-index-url "$TORCH_INDEX"; \
    fi \
    && python -m pip install --no-cache-dir -c /tmp/constraints.txt /wheels/*.whl \
    && rm -rf /wheels /tmp/constraints.txt
# any user may run it: settings, history and models lie where all can write
ENV HOME=/cache HF_HOME=/cache/huggingface XDG_CONFIG_HOME=/cache/config XDG_STATE_HOME=/cache/state
RUN mkdir -p /cache/huggingface /cache/config /cache/state /work && chmod -R a+rwX /cache /work
WORKDIR /work
ENTRYPOINT ["invoke"]
