# The local server as a static binary on an empty base, for end-to-end tests: docs/local.md#in-a-container
#
#     docker build -t lambda-otp .
#     docker run --rm -p 127.0.0.1:8080:8080 lambda-otp
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates && mkdir /data
WORKDIR /source
COPY . .
# The toolchain of this image. Without link-time optimization the build takes a fraction of the time and memory.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
RUN cargo build --release --locked -p local

FROM scratch
# For real carriers, which are called over HTTPS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65534:65534 /data /data
COPY --from=build /source/target/release/lambda-otp /lambda-otp
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/lambda-otp"]
CMD ["serve", "--host", "0.0.0.0"]
