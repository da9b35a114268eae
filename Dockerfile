# An image with the command and nothing else. First `.ci/release x86_64-unknown-linux-musl`, then:
#
#   docker build -t stateroom .
#   docker run -p 8080:8080 -v ./dist:/dist:ro stateroom
#
# `dist` is what `stateroom build` has written. Options follow the name of the image: `stateroom serve /dist --threads 2`.
FROM scratch
ARG TARGET=x86_64-unknown-linux-musl
# `full` has all commands, `serve` and `serve-tls` are smaller.
ARG FLAVOUR=full
COPY dist-release/stateroom-*-${TARGET}-${FLAVOUR} /stateroom
# Nobody. It needs no rights, and no file can be written.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/stateroom"]
CMD ["serve", "/dist"]
