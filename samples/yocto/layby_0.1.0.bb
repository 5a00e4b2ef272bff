SUMMARY = "Over-the-air engine for cars: the agent, its library for C, and the codec"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The sources as they are released; for a checkout beside the layer: inherit externalsrc, EXTERNALSRC = "...". They unpack
# into ${BP}, which is where S points to by default, in WORKDIR or, in later releases, in UNPACKDIR.
SRC_URI = "file://${BP}.tar.xz"

DEPENDS = "cli11 curl fmt libarchive libdivsufsort libsodium nlohmann-json openssl p11-kit tl-expected tomlplusplus xz zlib zstd"

inherit bash-completion cmake pkgconfig systemd useradd

PACKAGECONFIG ??= "dbus"
PACKAGECONFIG[dbus] = "-DLAYBY_DBUS=ON,-DLAYBY_DBUS=OFF,systemd"

# The car's side alone: no server, no tests. Your release's compiler may warn of what ours does not.
EXTRA_OECMAKE = "-DCMAKE_BUILD_TYPE=MinSizeRel -DLAYBY_SERVER=OFF -DLAYBY_TESTS=OFF -DLAYBY_WERROR=OFF \
    -DLAYBY_SYSTEMD_UNITDIR=${systemd_system_unitdir}"

PACKAGES =+ "${PN}-agent ${PN}-tools lib${PN}"
FILES:${PN}-agent = "${bindir}/layby-agent ${bindir}/layby-ecu \
    ${systemd_system_unitdir}/layby-agent.service ${systemd_system_unitdir}/layby-agent.path \
    ${systemd_system_unitdir}/layby-ecu@.service \
    ${datadir}/dbus-1/system.d/org.layby.Agent1.conf"
FILES:${PN}-tools = "${bindir}/layby-delta ${bindir}/layby-tuf"
FILES:lib${PN} = "${libdir}/liblayby.so.*"
FILES:${PN}-dev += "${libdir}/cmake"
RDEPENDS:${PN}-dev = "lib${PN}"
ALLOW_EMPTY:${PN} = "1"

SYSTEMD_PACKAGES = "${PN}-agent"
SYSTEMD_SERVICE:${PN}-agent = "layby-agent.service"
# It waits for a car that is provisioned; layby-agent.path, which it wants, for one that is paired.
SYSTEMD_AUTO_ENABLE:${PN}-agent = "enable"
USERADD_PACKAGES = "${PN}-agent"
USERADD_PARAM:${PN}-agent = "--system --user-group --home-dir /var/lib/layby-ecu --no-create-home layby-ecu; \
    --system --user-group --groups layby-ecu --home-dir /var/lib/layby-agent --no-create-home layby-agent"
