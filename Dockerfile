# The local server in a container:
#
#     make image                    (with Podman: make image ENGINE=podman; with Buildah: ENGINE=buildah)
#     docker run --rm -p 127.0.0.1:4000:4000 -v openresponses:/data openresponses
#
# It listens on all of the container's addresses and asks nobody for a key unless OPENRESPONSES_REQUIRE_KEYS=1: publish
# the port on 127.0.0.1, as above, or set that. Conversations are kept in /data.
FROM python:3.13-slim AS build
RUN python -m venv /opt/openresponses
WORKDIR /src
COPY requirements-serve.txt .
RUN /opt/openresponses/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary=:all: -r requirements-serve.txt
COPY pyproject.toml LICENSE ./
COPY layers/core/openresponses layers/core/openresponses
RUN /opt/openresponses/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/openresponses/bin/pip install --no-cache-dir --no-deps --no-index --find-links /dist openresponses \
    && /opt/openresponses/bin/python -m compileall -q /opt/openresponses/lib

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin openresponses \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/openresponses /opt/openresponses
ENV PATH=/opt/openresponses/bin:$PATH XDG_DATA_HOME=/data PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:4000/healthz', timeout=2)"]
ENTRYPOINT ["openresponses"]
CMD ["serve", "--host", "0.0.0.0"]
