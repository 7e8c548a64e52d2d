# The images: those of others are made here, because no registry may be at hand. A pin by digest cannot be satisfied by an image that is
# imported, so the pins are replaced by the arguments and variables that stand beside them. Sourced by deploy/test-compose.sh.

debian=vpnmanager-test/debian
export POSTGRES_IMAGE=vpnmanager-test/postgres NATS_IMAGE=vpnmanager-test/nats
export MANAGEMENT_IMAGE=vpnmanager-test/management ENDNODE_IMAGE=vpnmanager-test/endnode PROXY_IMAGE=vpnmanager-test/proxy

# The archive is kept for the next run. Packages come from where this machine has its own from.
make_debian() {
    local archive=$home/debian.tar root=$home/root
    if [ ! -e "$archive" ]; then
        echo "Making a base image with debootstrap ..."
        rm -rf --one-file-system "$root"
        quietly debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
        rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d" "$root/etc/apt/apt.conf.d" "$root"/var/cache/apt/archives/*.deb
        local part
        for part in sources.list sources.list.d apt.conf.d; do [ ! -e "/etc/apt/$part" ] || cp -a "/etc/apt/$part" "$root/etc/apt/"; done
        # No service is started in a container by its package.
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"
        tar --create --one-file-system --directory "$root" --file "$archive.new" .
        mv "$archive.new" "$archive"
        rm -rf --one-file-system "$root"
    fi
    docker import "$archive" "$debian" >/dev/null
}

# build TAG ARGUMENT...: in the network of the host, because the engine has none that leads out.
build() {
    local tag=$1
    shift
    DOCKER_BUILDKIT=0 quietly docker build --network host --tag "$tag" --build-arg "DEBIAN_IMAGE=$debian" "$@"
}

# build_ours VERSION: the images of our Dockerfile, from the programs in $binaries.
build_ours() {
    local target
    for target in management endnode proxy; do
        build "vpnmanager-test/$target" --file "$home/context/deploy/Dockerfile" --target "$target" --build-arg "RUST_IMAGE=$debian" \
            --build-arg PREBUILT=prebuilt --build-arg "VERSION=$1" --build-arg "REVISION=$revision" "$home/context"
    done
}

make_images() {
    local tests=deploy/test-compose program
    make_debian
    rm -rf "$home/context"
    mkdir -p "$home/context/prebuilt" "$home/context/nats"
    cp -a deploy .dockerignore "$home/context/"
    for program in vpnmanager-management vpnmanager-endnode; do
        # Without what debuggers need, which is most of it.
        strip --strip-debug -o "$home/context/prebuilt/$program" "$binaries/$program"
    done
    build_ours test-1
    cp "$nats_server" "$tests/nats.Dockerfile" "$home/context/nats/"
    build "$NATS_IMAGE" --file "$home/context/nats/nats.Dockerfile" "$home/context/nats"
    build "$POSTGRES_IMAGE" --file "$tests/postgres.Dockerfile" "$tests"
    build vpnmanager-test/client --file "$tests/client.Dockerfile" "$tests"
    docker images --filter "reference=vpnmanager-test/*" --format '{{.Repository}} {{.Size}}' | sort
}
