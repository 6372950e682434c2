# docker build -t wtool .
# docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/models" wtool inspect model.keras
FROM python:3.11-slim AS build
COPY pyproject.toml hatch_build.py README.md LICENSE /source/
COPY wtool /source/wtool
RUN python -m venv /opt/wtool && /opt/wtool/bin/pip install --no-cache-dir /source

FROM python:3.11-slim
COPY --from=build /opt/wtool /opt/wtool
USER nobody
WORKDIR /models
ENTRYPOINT ["/opt/wtool/bin/wtool"]
