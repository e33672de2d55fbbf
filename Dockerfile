# The server only: the lab and the tests stay out of the image.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md requirements.lock ./
COPY src src
COPY tillwatch.yaml ./
COPY probes probes
COPY alerts alerts
COPY runbooks runbooks
COPY dashboards dashboards
RUN python -m venv /opt/tillwatch \
 && /opt/tillwatch/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/tillwatch/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/tillwatch tillwatch
COPY --from=build /opt/tillwatch /opt/tillwatch
ENV PATH=/opt/tillwatch/bin:$PATH PYTHONUNBUFFERED=1
USER tillwatch
WORKDIR /var/lib/tillwatch
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/-/healthy', timeout=4)"]
ENTRYPOINT ["tillwatch"]
CMD ["-C", "/etc/tillwatch", "serve"]
