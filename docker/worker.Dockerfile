# The worker's image: for the CPU by default, for a GPU with CUDA=1.
#
#   docker build -f docker/worker.Dockerfile -t expunge-worker .
#   docker build -f docker/worker.Dockerfile -t expunge-worker:cuda --build-arg CUDA=1 .
#
# Both install the torch and torchvision that requirements.lock pins. For Linux these bring the
# CUDA libraries along and run on a CPU as well, so CUDA=1 changes what the worker asks for and not
# what is installed, no CUDA base image is needed (the host supplies the driver), and both images
# are several GB. TORCH_INDEX=<address of an index with other builds> takes that one pair from
# there, e.g. the CPU-only builds, which are far smaller.

# Both stages need the same one: the environment built in the first runs on the Python of the
# second. Any image with glibc and Python 3.11 or later will do; for a GPU, one of Debian's kind.
ARG BASE_IMAGE=python:3.11-slim

# 0 or 1: which of the two stages below, cuda-0 or cuda-1, the image is made from.
ARG CUDA=0


FROM ${BASE_IMAGE} AS build

# requirements.lock pins everything, this image wants a part of it. Given as constraints, the lock
# pins what is wanted and says nothing of the rest; pip before 26.1 refuses its hashes there.
ARG PIP_VERSION=26.3
RUN pip install --no-cache-dir "pip==${PIP_VERSION}" \
    && python -m venv --without-pip /opt/expunge

WORKDIR /build

# Dependencies first, sources after them: a change of code then downloads nothing.
COPY pyproject.toml requirements.lock ./

# Always both of the pair, from one place: builds of different places do not load together. Their
# versions are the lock's; their hashes cannot be, so here the operator's index is trusted.
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "${TORCH_INDEX}" ]; then \
        pip --python /opt/expunge/bin/python install --no-deps --index-url "${TORCH_INDEX}" \
            $(grep -oE '^(torch|torchvision)==[^ ;]+' requirements.lock); \
    fi

# A pair that is already there is kept; all else is checked against the lock's hashes.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extra = project['optional-dependencies']['worker']; \
print(*project['dependencies'], *extra, sep=chr(10))" > wanted.txt \
    && pip --python /opt/expunge/bin/python install \
        --require-hashes -r wanted.txt -c requirements.lock

COPY README.md expunge.py ./
COPY commands ./commands
COPY app ./app
COPY workers ./workers
COPY models ./models
COPY migrations ./migrations
COPY embedded ./embedded
COPY demo ./demo
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir dist . \
    && pip --python /opt/expunge/bin/python install --no-deps --no-index dist/*.whl \
    && pip --python /opt/expunge/bin/python check


FROM ${BASE_IMAGE} AS common

# Fixed numbers, the same in both images: the processes share the files of one volume. A new named
# volume takes its owner from the folder it is mounted on, so the folder is made here.
RUN groupadd --gid 10001 expunge \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/expunge \
        --shell /usr/sbin/nologin expunge \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/expunge

COPY --from=build /opt/expunge /opt/expunge

ENV PATH=/opt/expunge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    EXPUNGE_DATA_DIR=/var/lib/expunge

WORKDIR /var/lib/expunge


FROM common AS cuda-0
ENV EXPUNGE_DEVICE=cpu


# `cuda` and not `auto`: where the GPU is missing this worker should fail, not crawl.
FROM common AS cuda-1
# Triton compiles the loops over a GPU's memory when they are first used, and needs this for it.
# Without a compiler the worker does without these loops.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV EXPUNGE_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility


FROM cuda-${CUDA}

USER 10001:10001

# A worker listens on no port: it is healthy when the database, the queue and the store answer it.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 \
    CMD ["expunge", "ready"]

ENTRYPOINT ["expunge"]
CMD ["worker"]
