# An OpenVPN client, for deploy/test-compose.sh.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends iproute2 iputils-ping openvpn && rm -rf /var/lib/apt/lists/*
