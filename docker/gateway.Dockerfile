# The gateway's image. `expunge steward` and `expunge migrate` run from it too. It has no torch.
#
#   docker build -f docker/gateway.Dockerfile -t expunge-gateway .

# Both stages need the same one: the environment built in the first runs on the Python of the
# second. Any image with glibc and Python 3.11 or later will do.
ARG BASE_IMAGE=python:3.11-slim


FROM ${BASE_IMAGE} AS build

# requirements.lock pins everything, this image wants a part of it. Given as constraints, the lock
# pins what is wanted and says nothing of the rest; pip before 26.1 refuses its hashes there.
ARG PIP_VERSION=26.3
RUN pip install --no-cache-dir "pip==${PIP_VERSION}" \
    && python -m venv --without-pip /opt/expunge

WORKDIR /build

# Dependencies first, sources after them: a change of code then downloads nothing.
COPY pyproject.toml requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], sep=chr(10))" > wanted.txt \
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


FROM ${BASE_IMAGE}

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
    EXPUNGE_DATA_DIR=/var/lib/expunge \
    EXPUNGE_GATEWAY_HOST=0.0.0.0

WORKDIR /var/lib/expunge
USER 10001:10001
EXPOSE 8080

# Past any proxy of the environment: the question is whether this very container answers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; \
build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=4)"]

ENTRYPOINT ["expunge"]
CMD ["gateway"]
