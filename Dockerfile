# kerascnn on CPUs. Build: docker build -t kerascnn .  Run: docker run --rm -v "$PWD:/work" kerascnn fit photos
FROM python:3.13-slim-bookworm

# A user without rights on the host: what is written into /work belongs to this id (docker run --user overrides it).
RUN useradd --create-home --uid 1000 kerascnn
WORKDIR /opt/kerascnn
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kerascnn kerascnn
RUN pip install --no-cache-dir -c constraints.txt ".[onnx,litert,serve,audit,heif,hub]" \
    && kerascnn --version

USER 1000
WORKDIR /work
EXPOSE 8501
ENTRYPOINT ["kerascnn"]
CMD ["--help"]
