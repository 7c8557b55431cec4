# Veche in a container: built in one stage, run by nobody in the other.
#
#   docker build -t veche .
#   docker run -p 8080:8080 -p 8081:8081/udp -p 8081:8081 -v veche:/data -e MEDIA_ADDRESSES=<address of this machine> veche

FROM rust:1.95.0-slim-bookworm AS build
# A C compiler for SQLite, aws-lc and mimalloc.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /veche
COPY . .
RUN cargo build --release --locked --package veche --bin veche

FROM debian:bookworm-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin veche \
    && install --directory --mode 0700 --owner veche --group veche /data
COPY --from=build /veche/target/release/veche /usr/local/bin/veche
USER veche
WORKDIR /data
# Everything that lasts is under /data: the database, the secrets made at first start, the recordings.
ENV APP_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    MEDIA_PORT=8081 \
    DATA_DIR=/data \
    RECORDS_DIR=/data/records
VOLUME /data
EXPOSE 8080/tcp 8081/tcp 8081/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["veche", "health"]
ENTRYPOINT ["veche"]
